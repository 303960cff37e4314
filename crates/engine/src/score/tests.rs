use super::join::join;
use super::*;

fn item(prompt: &[u32], continuations: &[&[u32]]) -> ScoreTokens {
    ScoreTokens { prompt: prompt.to_vec(), continuations: continuations.iter().map(|tokens| tokens.to_vec()).collect() }
}

fn shapes(item: &ScoreTokens) -> Vec<(Vec<u32>, usize, usize)> {
    paths(item).into_iter().map(|path| (path.tokens, path.from, path.marks.len())).collect()
}

#[test]
fn shared_tokens_are_computed_once() {
    // Labels of one token each: the prompt's end tells all of them.
    assert_eq!(shapes(&item(&[1, 2], &[&[5], &[6], &[7], &[5]])), [(vec![1, 2], 1, 4)]);
    // The first path reads the prompt's end for all, the others begin behind it.
    let several = item(&[1, 2], &[&[5, 6], &[7], &[8, 9, 4], &[8, 9, 3], &[5, 5, 5]]);
    assert_eq!(shapes(&several), [(vec![1, 2, 5, 5], 1, 5 + 2 + 1), (vec![1, 2, 8, 9], 2, 1 + 1 + 2)]);
}

#[test]
fn every_token_of_every_continuation_is_marked_once() {
    let several = item(&[9], &[&[1, 2, 3], &[1, 2], &[1], &[2, 1], &[1, 2, 4, 4], &[2, 1]]);
    let mut found: Vec<(usize, usize, u32)> = Vec::new();
    for path in paths(&several) {
        assert_eq!(path.marks.first().map(|mark| mark.position), Some(path.from));
        assert!(path.marks.is_sorted_by_key(|mark| mark.position));
        assert_eq!(path.marks.last().map(|mark| mark.position + 1), Some(path.tokens.len()), "no token for nothing");
        for mark in &path.marks {
            let before = [&several.prompt, &several.continuations[mark.continuation][..mark.index]].concat();
            assert_eq!(path.tokens[..=mark.position], before);
            found.push((mark.continuation, mark.index, mark.token));
        }
    }
    found.sort_unstable();
    let all = several.continuations.iter().enumerate();
    let wanted: Vec<_> =
        all.flat_map(|(which, tokens)| tokens.iter().enumerate().map(move |(at, &token)| (which, at, token))).collect();
    assert_eq!(found, wanted);
}

#[test]
fn scores_are_log_probabilities_of_the_marked_tokens() {
    let path = paths(&item(&[1], &[&[0], &[2], &[9]])).remove(0);
    let mut scoring = Scoring::new(path.from, path.marks);
    assert!(scoring.wants(0) && !scoring.wants(1));
    scoring.score(0, &[1.0, f32::NAN, 2.0]);
    let total = 1.0_f32.exp() + 2.0_f32.exp();
    for (found, logit) in scoring.scores.marks.iter().zip([1.0_f32, 2.0]) {
        assert!((found - (logit - total.ln())).abs() < 1e-6, "{found}");
    }
    assert!(scoring.scores.marks[2] <= LEAST, "not in the vocabulary");
    assert!((scoring.scores.best - scoring.scores.marks[1]).abs() < 1e-6);
}

/// Pairs of letters are one token; a space is one of its own; 1 stands in front of a text.
fn pairs(text: &str, special: bool) -> Vec<u32> {
    let words = text.split_inclusive(' ').flat_map(|word| {
        let letters: Vec<u32> = word.trim_end().bytes().map(u32::from).collect();
        let mut tokens: Vec<u32> =
            letters.chunks(2).map(|pair| pair.iter().fold(0, |sum, letter| sum * 256 + letter)).collect();
        tokens.extend(word.ends_with(' ').then_some(32));
        tokens
    });
    special.then_some(1).into_iter().chain(words).collect()
}

#[test]
fn a_token_over_the_border_belongs_to_the_continuation() {
    let texts = |texts: &[&str]| -> Vec<String> { texts.iter().map(|&text| text.to_owned()).collect() };
    // "abc" + "d": the "c" is joined. All continuations begin at the same place.
    let joined = join(&pairs, &[], "abc", &texts(&["d", " e"]));
    assert_eq!(joined.prompt, pairs("ab", true));
    assert_eq!(joined.continuations, [pairs("cd", false), pairs("c e", false)]);
    let clean = join(&pairs, &[], "ab", &texts(&["cd"]));
    assert_eq!((clean.prompt, clean.continuations), (pairs("ab", true), vec![pairs("cd", false)]));
    // Behind a chat nothing is put in front, and nothing of it is joined.
    let chat = join(&pairs, &[7, 7], "", &texts(&["ab", "c"]));
    assert_eq!((chat.prompt, chat.continuations), (vec![7, 7], vec![pairs("ab", false), pairs("c", false)]));
    // A prompt that is joined as a whole stays a prompt.
    let bare = |text: &str, _: bool| pairs(text, false);
    let lone = join(&bare, &[], "a", &texts(&["b"]));
    assert_eq!((lone.prompt, lone.continuations), (pairs("a", false), vec![pairs("b", false)]));
}

#[test]
fn a_long_prompt_gives_the_same_tokens_as_a_whole() {
    let long = "the cat sat on a mat and ".repeat(20);
    let labels = ["ab".to_owned(), " c".to_owned()];
    let joined = join(&pairs, &[], &long, &labels);
    for (label, tokens) in labels.iter().zip(&joined.continuations) {
        assert_eq!([joined.prompt.as_slice(), tokens].concat(), pairs(&format!("{long}{label}"), true));
    }
}
