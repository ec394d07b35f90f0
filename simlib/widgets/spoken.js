// What ipywidgets leave out for people who hear the page. `box` is the one around an explorer's finding.
// A screen reader announces what changes inside a live region, but hardly one that is itself new; and a widget replaces
// all that is in it. So the box, which stays, becomes the region.
box.setAttribute("role", "status")
for (const slider of box.closest(".simlib-explorer").querySelectorAll(".widget-hslider")) {
    const handle = slider.querySelector("[role=slider]"), readout = slider.querySelector(".widget-readout")
    if (!handle || handle.ariaLabel) continue
    handle.ariaLabel = readout.ariaLabel = slider.querySelector(".widget-label").textContent
    // its own text is the number of the position, not what stands there
    const say = () => { if (handle.ariaValueText !== readout.textContent) handle.ariaValueText = readout.textContent }
    new MutationObserver(say).observe(handle, { attributeFilter: ["aria-valuetext"] })
    say()
}
