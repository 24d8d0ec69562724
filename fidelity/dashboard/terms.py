"""What the dashboard's terms mean, in one sentence each, as a tip behind the word (docs/glossary.md has them all)."""

from html import escape

from fidelity.outside.strings import visible

TERMS = {
    "answers": "The number of answers, of those that could be compared.",
    "baseline": "The unquantized model's run.",
    "break": "An answer that is newly unusable: empty, cut off, looping, invalid JSON, another language, a refusal.",
    "candidate": "A quantized model's run.",
    "chance level": "The column's value between answers to different prompts: what unrelated texts score.",
    "check": "How an answer can be newly unusable: empty, cut off, looping, invalid JSON, another language, a refusal.",
    "column": "One number per pair, such as rougeL.",
    "conflict": "Statements of two answers that can't both be true: a number, a negation, a name, a JSON value, code.",
    "control": "The baseline generated again in other batches, to show how far the model varies by itself.",
    "dominated by": "Runs that drift no more, are no worse in every measure, and are better in at least one.",
    "drift": "The excess: how much more the candidate differs than the baseline does from itself; positive is worse.",
    "drops": "Prompts that the baseline has right and this run has wrong, by their expected answers.",
    "excess": "Drift beyond the floor, prompt by prompt and then averaged; positive is worse.",
    "failed": "Prompts without an answer. They are counted and never scored.",
    "first divergence": "The first token at which two answers differ.",
    "floor": "The column's value between two runs of the baseline: what the model shows against itself.",
    "format": "The quantization that ran, whatever the checkpoint is called: W is bits of weights, A of activations.",
    "from": "The lower end of the 95% interval.",
    "gains": "Prompts that the baseline has wrong and this run has right, by their expected answers.",
    "kind": "What is in conflict.",
    "limit": "What the gate accepts.",
    "line": "One condition of the gate.",
    "margin": "The largest excess that the gate accepts.",
    "mcnemar p": "Exact two-sided test of the candidate against this control, on prompts that only one has right.",
    "mean or median": "How the column's values over prompts become one number.",
    "metric": "What scores pairs of answers; docs/metrics.md describes each.",
    "needed": "How many prompts would decide this line if nothing else changed.",
    "noise": "How much of the interval comes from the choice of prompts, and how much from the runs' batches.",
    "outcome": "Pass, fail, or inconclusive where the data don't decide.",
    "prompts": "Prompts that are scored in the candidate and in every control.",
    "prompts needed": "How many prompts would decide this line if nothing else changed.",
    "share": "Of all answers that could be compared.",
    "state": "Whether it can be read, is being written, or is damaged.",
    "to": "The upper end of the 95% interval.",
    "unclear": "Prompts where it depends on the extraction whether an answer is right. They don't count.",
    "unscored": "Prompts left out because an answer of the baseline or of a control can't be scored.",
    "value": "The column's mean or median between the baseline and the candidate.",
    "verdict": "The gate's judgment: pass if the excess is certainly within the margin, fail if beyond.",
    "votes": "What reviewers think of this pair.",
    "worst": "The candidate's answers that can't be scored, which count as the column's worst value.",
}
COLUMNS = {
    "added": "Share of the candidate's statements that the baseline lacks.",
    "aligned": "Share of the baseline's statements that have a counterpart in the candidate's answer.",
    "bertscore": "Similarity of meaning, token by token, by a language model; 1 is identical.",
    "break_": "Whether the answer is newly unusable in this way; 0 or 1.",
    "chrf": "Shared character n-grams (sacrebleu's chrF, divided by 100); 1 is identical.",
    "code": "Similarity of the code blocks' syntax trees; 1 is identical.",
    "conflict_": "Whether the answer contradicts the baseline's in this way; 0 or 1.",
    "drop": "Whether the baseline's answer is right and this one is wrong; 0 or 1.",
    "edit_": "1 less the edit distance per character or word; 1 is identical.",
    "facts_kept": "Share of the baseline's numbers, dates, units and URLs that the candidate has too.",
    "first_divergence": "The first token at which the answers differ; no value is better.",
    "gain": "Whether the baseline's answer is wrong and this one is right; 0 or 1.",
    "identical": "Whether both answers are the same, character for character.",
    "json_": "What JSON in the answers has in common: whether it parses, its keys, types and values.",
    "kl": "The Kullback-Leibler divergence of the token distributions, in nats; 0 is identical.",
    "length_inflation": "The candidate's tokens over the baseline's, which is what longer answers cost; 1 is as many.",
    "length_ratio": "The candidate's length over the baseline's.",
    "length_similarity": "The shorter length over the longer; 1 is equally long.",
    "markdown": "Similarity of headings, lists, tables and code blocks; 1 is identical.",
    "omitted": "Share of the baseline's statements that the candidate lacks.",
    "prefix_agreement": "Share of the answer's tokens before the first divergence; 1 is identical.",
    "right": "Whether the answer is right, by the prompt's expected answer; 0 or 1.",
    "rouge": "Shared words (rouge1), word pairs (rouge2) or the longest common sequence (rougeL); 1 is identical.",
    "sts": "Similarity of meaning by sentence embeddings; 1 is identical. It hardly sees numbers and negations.",
    "unclear": "Whether it depends on the extraction if one of both answers is right; 0 or 1.",
    "top1_agreement": "Share of tokens for which both models have the same most likely one.",
}
"""What columns measure, by how their names begin."""


def help_of(term: str) -> str:
    """What a term means; empty if it needs no explanation."""
    return TERMS.get(term.lower(), "")


def help_of_column(name: str) -> str:
    """What a column measures; empty if it is explained nowhere."""
    known = [begin for begin in COLUMNS if name.startswith(begin)]
    return COLUMNS[max(known, key=len)] if known else ""


def explained(word: str, tip: str) -> str:
    """A word as markup, with its meaning as a tip for pointer and keyboard; plain where it has none."""
    shown = escape(visible(word))
    return f'<span class="f-term" tabindex="0" title="{escape(tip)}">{shown}</span>' if tip else shown
