"""The course as data, in English and Spanish: predictions, glossary, quiz, outcomes; and its notebooks' editions."""
