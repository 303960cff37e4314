"""How good is an answer of a tool? One function per tool; each gives figures from 0 to 1 for one case.

The figures are simple on purpose: they compare ways of doing the work on the same cases, and are no absolute
measure. The formats of the cases are in evals/README.md.
"""

import re
import unicodedata

JSON_TYPES = {
    "string": str,
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}


def folded(text):
    """Lower case, without accents, one space between words."""
    letters = unicodedata.normalize("NFD", str(text).lower())
    return " ".join("".join(c for c in letters if unicodedata.category(c) != "Mn").split())


def stands_in(term, text):
    """Whether `term` stands in `text` as a word: '12' is not in '120' or '1.12'. Both are folded here."""
    term, text = folded(term), folded(text)
    before, after = (r"(?<!\w)(?<!\d[.,])", r"(?!\w)(?![.,]\d)") if term[:1].isdigit() else (r"(?<!\w)", "")
    return re.search(before + re.escape(term) + after, text) is not None


def classify(case, answer):
    return {"accuracy": float(answer == case["expected"])}


def valid(value, schema):
    """The part of JSON Schema that the cases use: type, enum, properties, required, items, closed objects."""
    if "enum" in schema and value not in schema["enum"]:
        return False
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds

    def is_kind(kind):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if kind in ("number", "integer"):
            return number and (kind == "number" or float(value).is_integer())
        return isinstance(value, JSON_TYPES[kind])

    if kinds and not any(is_kind(kind) for kind in kinds):
        return False
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        if any(name not in value for name in schema.get("required", [])):
            return False
        if schema.get("additionalProperties") is False and any(name not in properties for name in value):
            return False
        return all(valid(value[name], part) for name, part in properties.items() if name in value)
    if isinstance(value, list) and "items" in schema:
        return all(valid(item, schema["items"]) for item in value)
    return True


def is_blank(value):
    return value is None or value == "" or value == []


def agree(found, due):
    """0 to 1: numbers by value, texts folded and without punctuation at their ends, lists by their F1."""
    if isinstance(due, list):
        found = found if isinstance(found, list) else []
        hits = sum(any(agree(item, other) == 1 for other in found) for item in due)
        return 2 * hits / (len(found) + len(due)) if found else 0.0
    if isinstance(due, bool) or isinstance(found, bool):
        return float(found is due)
    if isinstance(due, (int, float)):
        return float(isinstance(found, (int, float)) and abs(found - due) < 1e-6)
    return float(folded(found).strip(" .,;:'\"") == folded(due).strip(" .,;:'\""))


def extract(case, answer):
    """`hits`, `given` and `due` are counts, from which the F1 over all cases is made."""
    hits = given = due = 0.0
    data = answer if isinstance(answer, dict) else {}
    for name, expected in case["expected"].items():
        found = data.get(name)
        given += not is_blank(found)
        due += not is_blank(expected)
        if not is_blank(found) and not is_blank(expected):
            hits += agree(found, expected)
    return {"valid": float(isinstance(answer, dict) and valid(answer, case["schema"])), "hits": hits, "given": given, "due": due}


def repetition(text, length=4):
    """The share of runs of four words that stood there before."""
    words = folded(text).split()
    runs = [tuple(words[at : at + length]) for at in range(len(words) - length + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def summarize(case, answer):
    answer = answer if isinstance(answer, str) else ""
    told = [all(any(stands_in(way, answer) for way in ways) for ways in fact["all"]) for fact in case["key_facts"]]
    return {
        "within_limit": float(0 < len(answer.split()) <= case["max_words"]),
        "repeats": float(not answer.split() or repetition(answer) > 0.3),
        "fact_recall": sum(told) / len(told),
    }


def holds(check, text, answer):
    """One check of a rewrite; a type that is not known here is an error, not a pass."""
    kind, words = check["type"], len(answer.split())
    common = {"en": {"the", "and", "of", "to", "is", "in", "for"}, "es": {"el", "la", "de", "que", "y", "en", "los", "un"}}
    if kind == "max_words":
        return words <= check["value"]
    if kind == "length_ratio":
        return check["min"] <= words / max(1, len(text.split())) <= check["max"]
    if kind == "bullets_min":
        return sum(bool(re.match(r"\s*([-*•]|\d+[.)])\s", line)) for line in answer.splitlines()) >= check["value"]
    if kind == "not_contains":
        return not any(re.search(rf"(?<!\w){re.escape(folded(v))}(?!\w)", folded(answer)) for v in check["values"])
    if kind == "contains_any":
        return any(folded(value) in folded(answer) for value in check["values"])
    if kind == "no_contractions":
        return not re.search(r"\w[’'](t|s|re|ve|ll|d|m)\b|\b(gonna|wanna|gotta|outta|kinda)\b", answer, re.IGNORECASE)
    if kind == "no_exclamation":
        return "!" not in answer
    if kind in ("regex", "not_regex"):
        return (re.search(check["value"], answer, re.IGNORECASE) is not None) == (kind == "regex")
    if kind == "language":
        seen = {name: sum(word in known for word in answer.lower().split()) for name, known in common.items()}
        return max(seen.values()) == 0 or seen.get(check["value"], 0) == max(seen.values())
    raise ValueError(f"unknown check: {kind}")


def rewrite(case, answer):
    answer = answer if isinstance(answer, str) else ""
    keeps = all(stands_in(term, answer) for term in case["must_keep"])
    changed = bool(answer.strip()) and answer.split() != case["text"].split()
    checked = bool(answer.strip()) and all(holds(check, case["text"], answer) for check in case["checks"])
    return {"keeps": float(keeps), "changed": float(changed), "checks": float(checked), "passes": float(keeps and changed and checked)}


def together(tool, figures):
    """The figures of all cases of a tool as one row."""
    mean = {name: sum(row[name] for row in figures) / len(figures) for name in figures[0]}
    if tool == "extract":
        hits, sizes = (sum(sum(row[name] for name in names) for row in figures) for names in (["hits"], ["given", "due"]))
        return {"valid": mean["valid"], "field_f1": 2 * hits / sizes if sizes else 0.0}
    return mean
