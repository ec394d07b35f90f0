"""What a student is told, in both languages: by `check` and `reveal` at once, by feedback after grading."""

from collections.abc import Mapping

from simlib.languages import Language

Words = Mapping[str, Mapping[Language, str]]
WORDS: Words = {
    # kinds of values
    "nothing": {"en": "nothing yet", "es": "nada todavía"},
    "truth": {"en": "True or False", "es": "True o False"},
    "number": {"en": "a number", "es": "un número"},
    "text": {"en": "a text", "es": "un texto"},
    "list": {"en": "a list of shape {detail}", "es": "una lista de forma {detail}"},
    "table": {"en": "a table with {detail}", "es": "una tabla con {detail}"},
    "other": {"en": "something else ({detail})", "es": "otra cosa ({detail})"},
    "function": {"en": "a function", "es": "una función"},
    "in unit": {"en": "{kind}, in {unit}", "es": "{kind}, en {unit}"},
    # check
    "unknown question": {
        "en": "There is no question {question!r} here; it has {known}.",
        "es": "No hay ninguna pregunta {question!r} aquí; hay {known}.",
    },
    "not attempted": {
        "en": "{question}: nothing here yet. Write {answer} in the cell above, run that cell, then run this one.",
        "es": "{question}: todavía no hay nada. Escribe {answer} en la celda de arriba, ejecútala y luego esta.",
    },
    "right": {
        "en": "{question}: right on {passed} of {count}. {note}",
        "es": "{question}: correcto en {passed} de {count}. {note}",
    },
    "note hidden": {
        "en": "Marks come from other numbers of the same kind.",
        "es": "La nota se obtiene con otros números del mismo tipo.",
    },
    "wrong": {
        "en": "{question}: right on {passed} of {count} so far.",
        "es": "{question}: correcto en {passed} de {count} por ahora.",
    },
    "case": {"en": "  with {case}", "es": "  con {case}"},
    "got": {"en": "  got       {got}", "es": "  obtenido  {got}"},
    "expected": {"en": "  expected  {expected}", "es": "  esperado  {expected}"},
    "wrong kind": {
        "en": "  got       {got}\n  expected  {expected}",
        "es": "  obtenido  {got}\n  esperado  {expected}",
    },
    "raised": {"en": "  stopped with {error}", "es": "  se detuvo con {error}"},
    "hint": {"en": "Hint {number} of {count}: {hint}", "es": "Pista {number} de {count}: {hint}"},
    "open": {
        "en": "{question} is read by a person: write in your own words. It is worth {points:g} points.",
        "es": "{question} la lee una persona: escribe con tus palabras. Vale {points:g} puntos.",
    },
    "given changed": {
        "en": "Note: `given` is not as it was handed out; the examples hold for the original numbers.",
        "es": "Aviso: `given` no está como se entregó; los ejemplos valen para los números originales.",
    },
    # predictions
    "one of these": {"en": "Choose one of: {choices}.", "es": "Elige una: {choices}."},
    "commit": {
        "en": "Commit your prediction{unit} before you go on: {example}",
        "es": "Apunta tu predicción{unit} antes de seguir: {example}",
    },
    "in": {"en": " in {unit}", "es": " en {unit}"},
    "save": {"en": "Save", "es": "Guardar"},
    "save tip": {"en": "Keep this prediction", "es": "Guardar esta predicción"},
    "not saved": {"en": "Not saved yet.", "es": "Aún sin guardar."},
    "choose first": {"en": "Choose one first.", "es": "Elige una primero."},
    "saved": {"en": "Saved: {value}", "es": "Guardado: {value}"},
    "stays": {
        "en": "Revealed already; your prediction stays: {value}",
        "es": "El resultado ya se ha visto; tu predicción queda como estaba: {value}",
    },
    "no prediction": {
        "en": "No prediction for {question} this time; next time commit one before you look.",
        "es": "Esta vez no hay predicción para {question}; la próxima, apunta una antes de mirar.",
    },
    "result": {"en": "The result: {result}.", "es": "El resultado: {result}."},
    "both": {
        "en": "Your prediction: {value}.  The result: {result}.",
        "es": "Tu predicción: {value}.  El resultado: {result}.",
    },
    "right choice": {"en": "Right!", "es": "¡Correcto!"},
    "other choice": {
        "en": "Not yet: now find out what makes the difference.",
        "es": "Todavía no: averigua ahora dónde está la diferencia.",
    },
    "same number": {"en": "Right on the spot!", "es": "¡Justo en el clavo!"},
    "higher": {
        "en": "The result is {difference} higher than you thought.",
        "es": "El resultado es {difference} más alto de lo que pensabas.",
    },
    "lower": {
        "en": "The result is {difference} lower than you thought.",
        "es": "El resultado es {difference} más bajo de lo que pensabas.",
    },
    "times prediction": {
        "en": "the result is {ratio} times your prediction",
        "es": "el resultado es {ratio} veces tu predicción",
    },
    "times result": {
        "en": "your prediction is {ratio} times the result",
        "es": "tu predicción es {ratio} veces el resultado",
    },
    "well judged": {
        "en": "Well judged: {ratio}.",
        "es": "Bien calculado: {ratio}.",
    },
    "not far": {
        "en": "Not far: {ratio}.",
        "es": "No está lejos: {ratio}.",
    },
    "surprise": {
        "en": "A surprise: {ratio}.  That gap is what there is to learn here.",
        "es": "Una sorpresa: {ratio}.  Esa distancia es lo que aquí se aprende.",
    },
    # the quiz
    "quiz right": {"en": "Right.", "es": "Correcto."},
    "quiz wrong": {"en": "Not quite: {right}.", "es": "No del todo: {right}."},
    # the poll of a class
    "poll answer": {"en": "simulated: {value}", "es": "simulado: {value}"},
    "poll no answer": {
        "en": "Nobody has seen the result yet.",
        "es": "Nadie ha visto todavía el resultado.",
    },
    "poll far off": {"en": "farther off", "es": "más lejos"},
    "poll left out": {
        "en": "{count} of another kind than most are left out.",
        "es": "Se dejan fuera {count}, de otro tipo que la mayoría.",
    },
    "poll files": {
        "en": "{files} files read, {broken} with something wrong.",
        "es": "{files} archivos leídos, {broken} con algún fallo.",
    },
    "poll damaged": {"en": "damaged", "es": "dañado"},
    "poll too large": {"en": "too large for predictions", "es": "demasiado grande para ser de predicciones"},
    "poll no predictions": {"en": "not a file of predictions", "es": "no es un archivo de predicciones"},
    "poll unreadable": {"en": "cannot be read ({why})", "es": "no se puede leer ({why})"},
    "poll some entries": {
        "en": "{count} of its entries make no sense; the others count",
        "es": "{count} de sus entradas no tienen sentido; las demás cuentan",
    },
    # policies
    "policy keys": {
        "en": "{question}: a policy is a dictionary with {known}; got {got}.",
        "es": "{question}: una política es un diccionario con {known}; se obtuvo {got}.",
    },
    "policy bound": {
        "en": "{question}: {name}={value} is not possible: it should be {wanted}.",
        "es": "{question}: {name}={value} no es posible: debería ser {wanted}.",
    },
    "one of": {"en": "one of {choices}", "es": "uno de {choices}"},
    "between": {"en": "a number from {low:g} to {high:g}", "es": "un número de {low:g} a {high:g}"},
    "whole between": {
        "en": "a whole number from {low:g} to {high:g}",
        "es": "un número entero de {low:g} a {high:g}",
    },
    "at most": {"en": "at most {bound}", "es": "como máximo {bound}"},
    "at least": {"en": "at least {bound}", "es": "como mínimo {bound}"},
    "kept": {"en": "kept", "es": "se cumple"},
    "broken": {"en": "not kept", "es": "no se cumple"},
    "figure": {
        "en": "  {name} = {value}, asked: {wanted}: {verdict}",
        "es": "  {name} = {value}, se pide {wanted}: {verdict}",
    },
}


def say(key: str, language: Language, words: Words = WORDS, /, **parts: object) -> str:
    """The sentence *key* of *words* in *language*, with its parts."""
    return words[key][language].format(**parts)
