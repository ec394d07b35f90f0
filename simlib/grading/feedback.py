"""What one student reads: points, what passed, the public example that did not, and in words what to look at.

Holds no hidden input, no expected value of a hidden case and no line of a solution; all text of the student's is
escaped, and nothing of it is rendered.
"""

import html
from collections.abc import Mapping
from typing import Any

from simlib.exercises.checking import difference, in_call, kind_in_words
from simlib.grading.question import Question
from simlib.grading.source import Source
from simlib.languages import Language
from simlib.words import Words, say

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:1.6rem}"
    "pre{background:#f4f4f4;padding:.6rem;white-space:pre-wrap}"
    ".points{color:#555;font-weight:normal}"
    "table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left}"
)

HEADINGS: Words = {
    "title": {"en": "Feedback", "es": "Comentarios"},
    "total": {"en": "{total:g} of {maximum:g} points", "es": "{total:g} de {maximum:g} puntos"},
    "points": {"en": "{points:g} of {maximum:g} points", "es": "{points:g} de {maximum:g} puntos"},
    "cases": {
        "en": "Right in {passed} of {cases} hidden cases.",
        "es": "Correcto en {passed} de {cases} casos ocultos.",
    },
    "wants": {"en": "Expected: {kind}.", "es": "Se espera: {kind}."},
    "public": {"en": "With this public example:", "es": "Con este ejemplo público:"},
    "all public": {
        "en": "All public examples are right; hidden cases have other numbers. Which ones could come?",
        "es": "Todos los ejemplos públicos son correctos; los ocultos tienen otros números. ¿Cuáles pueden venir?",
    },
    "waits": {"en": "A person will read this answer.", "es": "Una persona leerá esta respuesta."},
    "comment": {"en": "Comment: {comment}", "es": "Comentario: {comment}"},
    "what": {"en": "What happened: {reason}.", "es": "Qué pasó: {reason}."},
    "override": {"en": "Set by your teacher: {reason}", "es": "Fijado por tu profesor: {reason}"},
    "sandbox": {
        "en": "Your answers were run on their own, with other numbers, in a fresh kernel.",
        "es": "Tus respuestas se ejecutaron aparte, con otros números, en un kernel nuevo.",
    },
}

REASONS_ES = {
    "not attempted": "sin contestar",
    "answer cell missing": "falta la celda de la respuesta",
    "its cell is text, not code": "su celda es texto, no código",
    "did not end in time": "no terminó a tiempo",
    "ended the kernel": "cerró el kernel",
    "needed too much memory": "necesitó demasiada memoria",
    "printed too much": "imprimió demasiado",
    "nothing handed out": "no devolvió nada",
}


def page(source: Source, result: Mapping[str, Any], student: str, language: Language = "en") -> str:
    """The feedback of one student as a whole page.

    Parameters
    ----------
    result
        What `grade` keeps of a student, with manual marks and overrides applied.
    """
    parts = [f"<h1>{_e(source.name)} · {_e(student)}</h1>"]
    total = say("total", language, HEADINGS, total=result["total"], maximum=result["max"])
    parts.append(f"<p><strong>{_e(total)}</strong></p>")
    if result["status"] not in ("ok", "pending"):
        parts.append(f"<p>{_e(_what(result['reason'], language))}</p>")
    if result.get("override"):
        parts.append(f"<p>{_e(say('override', language, HEADINGS, reason=result['override']))}</p>")
    for each in result["questions"]:
        parts += _question(source.questions[each["question"]], source, each, language)
    parts.append(f"<p><small>{_e(say('sandbox', language, HEADINGS))}</small></p>")
    title = f"{source.name}: {say('title', language, HEADINGS)}"
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8"><title>{_e(title)}</title>'
        f"<style>{STYLE}</style></head><body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _question(question: Question, source: Source, each: Mapping[str, Any], language: Language) -> list[str]:
    points = say("points", language, HEADINGS, points=each["points"], maximum=each["maximum"])
    parts = [f'<h2>{_e(question.name)} <span class="points">· {_e(points)}</span></h2>']
    if question.kind == "open":
        if each["reason"]:
            parts.append(_p(_what(each["reason"], language)))
        elif not each.get("is_marked"):
            parts.append(_p(say("waits", language, HEADINGS)))
    elif each["reason"] in ("not attempted", "answer cell missing", "its cell is text, not code") or each["ended"]:
        parts.append(_p(_what(each["reason"], language)))
    else:
        parts += _closed(question, source, each, language)
    if each.get("comment"):
        parts.append(_p(say("comment", language, HEADINGS, comment=each["comment"])))
    return parts


def _closed(question: Question, source: Source, each: Mapping[str, Any], language: Language) -> list[str]:
    parts = [_p(say("cases", language, HEADINGS, passed=each["passed"], cases=each["cases"]))]
    if each["passed"] == each["cases"] and each["points"] == each["maximum"]:
        return parts
    if question.kind == "policy":
        return [*parts, _p(_what(each["error"], language))] if each["error"] else parts
    expected = source.expected[question.name]
    kinds = {kind_in_words(value, question.unit, language) for value in expected}
    parts.append(_p(say("wants", language, HEADINGS, kind=" / ".join(sorted(kinds)))))
    failed = [(k, case) for k, case in enumerate(each["public"]) if case["verdict"] != "right"]
    if not failed:
        error = each["error"] and _what(each["error"], language)
        return [*parts, _p(error or say("all public", language, HEADINGS))]
    k, case = failed[0]
    lines = []
    if question.kind == "function":
        lines.append(say("case", language, case=in_call(question.examples[k])))
    if case.get("error"):
        lines.append(say("raised", language, error=case["error"]))
    elif each["error"]:
        lines.append(say("raised", language, error=each["error"]))
    else:
        lines += difference(case.get("value"), expected[k], question.unit, language)
    return [*parts, _p(say("public", language, HEADINGS)), f"<pre>{_e(chr(10).join(lines))}</pre>"]


def _what(reason: str, language: Language) -> str:
    return say("what", language, HEADINGS, reason=REASONS_ES.get(reason, reason) if language == "es" else reason)


def _p(text: str) -> str:
    return f"<p>{_e(text)}</p>"


def _e(text: str) -> str:
    return html.escape(text)
