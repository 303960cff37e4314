//! From log-probabilities to scores of labels. Pure.
//!
//! A label scores high for two reasons: the text is about it, or the model likes the word. What it scores behind
//! texts that say nothing is the second reason alone, and is subtracted.

use super::labels::Sayings;

/// How much the description counts beside the label's name.
const MEANING: f64 = 2.0;
/// By what the evidence is divided before it becomes probabilities: so that of answers with a confidence near p
/// about p are right. Fitted on the cases of `evals/classify.jsonl` that are there to choose by.
const TEMPERATURE: f64 = 0.7;
/// The same where every label is decided for itself, and the evidence that counts as even.
const TEMPERATURE_ALONE: f64 = 0.5;
const EVEN: f64 = 1.0;

/// What a label set scores behind texts that speak for none of its labels, by ending and label.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Background(pub(super) Vec<Vec<f64>>);

/// All that is scored for the labels behind one ending, in one order: the ways of each label, then, where
/// `with_meaning`, its description.
pub(super) fn continuations(labels: &[Sayings], with_meaning: bool) -> Vec<String> {
    let meaning = |label: &Sayings| label.meaning.clone().filter(|_| with_meaning);
    labels.iter().flat_map(|label| label.ways.iter().cloned().chain(meaning(label))).collect()
}

/// The score of each label behind one ending: `found` has the log-probabilities of the tokens of what
/// [`continuations`] has put into the request.
pub(super) fn scores(labels: &[Sayings], with_meaning: bool, found: &[Vec<f32>]) -> Vec<f64> {
    let mut found = found.iter();
    let mut next = || found.next().map_or(&[][..], Vec::as_slice);
    let of_label = |label: &Sayings| {
        let ways: f64 = label.ways.iter().map(|_| of_name(next())).sum();
        let meaning = if with_meaning && label.meaning.is_some() { MEANING * mean(next()) } else { 0.0 };
        ways / count(label.ways.len()) + meaning
    };
    labels.iter().map(of_label).collect()
}

/// How much speaks for each label: its scores over the background's, the mean over all endings.
pub(super) fn evidence(scores: &[Vec<f64>], background: &Background) -> Vec<f64> {
    let labels = scores.first().map_or(0, Vec::len);
    let over = |label: usize| {
        let differences = scores.iter().zip(&background.0).map(|(found, usual)| found[label] - usual[label]);
        differences.sum::<f64>() / count(scores.len())
    };
    (0..labels).map(over).collect()
}

/// The mean over texts of what labels score behind the same endings.
pub(super) fn background(texts: &[Vec<Vec<f64>>]) -> Background {
    let Some(first) = texts.first() else { return Background(Vec::new()) };
    let mean =
        |ending: usize, label: usize| texts.iter().map(|text| text[ending][label]).sum::<f64>() / count(texts.len());
    Background(
        (first.iter().enumerate())
            .map(|(ending, labels)| (0..labels.len()).map(|label| mean(ending, label)).collect())
            .collect(),
    )
}

/// Probabilities of which exactly one label holds; their sum is 1.
pub(super) fn one_of(evidence: &[f64]) -> Vec<f64> {
    let most = evidence.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shares: Vec<f64> = evidence.iter().map(|found| ((found - most) / TEMPERATURE).exp()).collect();
    let sum: f64 = shares.iter().sum();
    shares.into_iter().map(|share| share / sum).collect()
}

/// Probabilities of which each stands for itself: how far a label lies over the middle of all.
///
/// The middle takes out what moves all labels together: long texts make every label less likely than texts that
/// say nothing do.
pub(super) fn each(evidence: &[f64]) -> Vec<f64> {
    let middle = evidence.iter().sum::<f64>() / count(evidence.len());
    evidence.iter().map(|found| 1.0 / (1.0 + ((EVEN - (found - middle)) / TEMPERATURE_ALONE).exp())).collect()
}

/// Between the sum, which is unfair to long names, and the mean, which forgets that later tokens of a name follow
/// from its first by themselves.
fn of_name(tokens: &[f32]) -> f64 {
    sum(tokens) / count(tokens.len()).sqrt()
}

fn mean(tokens: &[f32]) -> f64 {
    sum(tokens) / count(tokens.len())
}

fn sum(tokens: &[f32]) -> f64 {
    tokens.iter().copied().map(f64::from).sum()
}

#[expect(clippy::cast_precision_loss, reason = "a few hundred at most")]
fn count(things: usize) -> f64 {
    things.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Vec<Sayings> {
        let label = |ways: &[&str], meaning: Option<&str>| Sayings {
            ways: ways.iter().map(|&way| way.to_owned()).collect(),
            meaning: meaning.map(str::to_owned),
        };
        vec![label(&[" a"], Some(" first")), label(&[" b", " bee"], None)]
    }

    fn close(found: &[f64], due: &[f64]) {
        assert!(found.len() == due.len() && found.iter().zip(due).all(|(a, b)| (a - b).abs() < 1e-3), "{found:?}");
    }

    #[test]
    fn what_is_asked_is_read_back_in_the_same_order() {
        assert_eq!(continuations(&labels(), true), [" a", " first", " b", " bee"]);
        assert_eq!(continuations(&labels(), false), [" a", " b", " bee"]);
        let found = [vec![-1.0], vec![-2.0, -4.0], vec![-4.0, -4.0, -4.0, -4.0], vec![-2.0]];
        close(&scores(&labels(), true, &found), &[-1.0 - 3.0 * MEANING, -5.0]);
        close(&scores(&labels(), false, &[vec![-1.0], vec![-3.0], vec![-2.0]]), &[-1.0, -2.5]);
    }

    #[test]
    fn evidence_is_what_lies_over_the_background() {
        let background = background(&[vec![vec![-1.0, -9.0]], vec![vec![-3.0, -9.0]]]);
        assert_eq!(background, Background(vec![vec![-2.0, -9.0]]));
        let found = evidence(&[vec![-2.0, -7.0]], &background);
        close(&found, &[0.0, 2.0]);
        let shares = one_of(&found);
        assert!(shares[1] > 0.9 && (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
        close(&one_of(&[-4000.0, -4000.0]), &[0.5, 0.5]);
    }

    #[test]
    fn labels_that_are_decided_alone_may_all_hold_or_none() {
        let holds = |evidence: &[f64]| each(evidence).into_iter().map(|share| share >= 0.5).collect::<Vec<_>>();
        assert_eq!(holds(&[3.0, 3.0, -2.0, -2.0]), [true, true, false, false]);
        assert_eq!(holds(&[0.1, 0.0, -0.1]), [false, false, false]);
    }
}
