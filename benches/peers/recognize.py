"""presidio-analyzer's pattern recognizers over labelled texts and over log lines.

Prints one JSON object: findings as [type, text, start, end], and megabytes a second of the log lines on one core.
Usage: recognize.py LABELLED.json LINES.json
"""

import json
import logging
import sys
import time

from presidio_analyzer import AnalyzerEngine, RecognizerRegistry, predefined_recognizers
from presidio_analyzer.nlp_engine import NlpArtifacts, NlpEngine

# It looks for a newer list of domains, and does without one.
logging.disable(logging.CRITICAL)

WANTED = [
    "IbanRecognizer", "CreditCardRecognizer", "EmailRecognizer", "PhoneRecognizer", "IpRecognizer", "DeTaxIdRecognizer",
    "DeIdCardRecognizer", "DeVatIdRecognizer", "DeKfzRecognizer", "MacAddressRecognizer", "DePassportRecognizer",
    "DeSocialSecurityRecognizer", "DeHealthInsuranceRecognizer", "DeTaxNumberRecognizer",
]
SCORE = 0.35
# Names of labels where they differ.
LABELS = {"DE_VAT": "DE_VAT_ID", "DE_LICENSE_PLATE": "DE_KFZ", "DE_KFZ": "DE_KFZ", "DE_ID": "DE_ID_CARD"}


class Blank(NlpEngine):
    """Splits at blanks: no model is installed, and patterns need none."""

    def load(self):
        pass

    def is_loaded(self):
        return True

    def process_text(self, text, language):
        tokens, indices, at = text.split(), [], 0
        for token in tokens:
            at = text.index(token, at)
            indices.append(at)
            at += len(token)
        return NlpArtifacts([], tokens, indices, [token.lower() for token in tokens], self, language)

    def process_batch(self, texts, language, **_):
        return ((text, self.process_text(text, language)) for text in texts)

    def is_stopword(self, word, language):
        return False

    def is_punct(self, word, language):
        return not word.isalnum()

    def get_supported_entities(self):
        return []

    def get_supported_languages(self):
        return ["de"]


def main():
    registry = RecognizerRegistry(supported_languages=["de"])
    for name in WANTED:
        make = getattr(predefined_recognizers, name, None)
        if make is not None:
            registry.add_recognizer(make(supported_language="de"))
    analyzer = AnalyzerEngine(registry=registry, nlp_engine=Blank(), supported_languages=["de"])
    findings = []
    for at, text in enumerate(json.load(open(sys.argv[1]))):
        for found in analyzer.analyze(text["full_text"], language="de", score_threshold=SCORE):
            findings.append([LABELS.get(found.entity_type, found.entity_type), at, found.start, found.end])
    lines = json.load(open(sys.argv[2]))
    begun = time.process_time()
    for line in lines:
        analyzer.analyze(line, language="de", score_threshold=SCORE)
    took = time.process_time() - begun
    size = sum(len(line.encode()) for line in lines)
    print(json.dumps({"findings": findings, "mb_per_s": size / 1e6 / took, "lines": len(lines)}))


main()
