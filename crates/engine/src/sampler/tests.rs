use proptest::prelude::*;

use super::*;

/// The plain reference: the tokens that may be drawn with their probabilities, in order of tokens.
fn reference(logits: &[f32], params: &SamplingParams) -> Vec<(u32, f64)> {
    let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut kept: Vec<(u32, f64)> = (0_u32..)
        .zip(logits)
        .filter(|(_, logit)| logit.is_finite())
        .map(|(token, logit)| (token, f64::from((logit - best) / params.temperature).exp()))
        .filter(|&(_, weight)| weight >= f64::from(params.min_p) * (1.0 - 1e-6))
        .collect();
    kept.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    if let Some(top_k) = usize::try_from(params.top_k).ok().filter(|&top_k| top_k > 0 && top_k < kept.len()) {
        let least = kept[top_k - 1].1;
        kept.retain(|&(_, weight)| weight >= least);
    }
    let total: f64 = kept.iter().map(|(_, weight)| weight).sum();
    if params.top_p < 1.0 {
        let mut mass = 0.0;
        let enough = kept.iter().position(|(_, weight)| {
            mass += weight;
            mass >= f64::from(params.top_p) * total
        });
        kept.truncate(enough.map_or(kept.len(), |last| last + 1));
    }
    let total: f64 = kept.iter().map(|(_, weight)| weight).sum();
    kept.sort_by_key(|&(token, _)| token);
    kept.into_iter().map(|(token, weight)| (token, weight / total)).collect()
}

fn seeded(params: SamplingParams) -> Sampler {
    Sampler::new(SamplingParams { seed: Some(1), ..params }, &[])
}

fn banned(tokens: &[u32]) -> Choice<'_> {
    Choice { banned: tokens, allowed: None }
}

#[test]
fn only_allowed_tokens_are_chosen() {
    let logits: Vec<f32> = (0_u8..100).map(f32::from).collect();
    let only = |tokens: &[u32]| {
        let mut words = vec![0_u32; 4];
        tokens.iter().for_each(|&token| words[token as usize / 32] |= 1 << (token % 32));
        words
    };
    let mut greedy = Sampler::new(SamplingParams { temperature: 0.0, ..Default::default() }, &[]);
    let mut drawn = seeded(SamplingParams::default());
    for allowed in [vec![3], vec![31, 32], vec![63, 64, 99], (0..64).collect()] {
        let words = only(&allowed);
        let choice = Choice { banned: &[], allowed: Some(&words) };
        assert_eq!(Some(&greedy.sample(&logits, choice)), allowed.last());
        assert!(allowed.contains(&drawn.sample(&logits, choice)));
        let impossible = vec![f32::NAN; 100];
        assert_eq!(Some(&greedy.sample(&impossible, choice)), allowed.first());
    }
    // A mask that ends early forbids the rest.
    assert_eq!(greedy.sample(&logits, Choice { banned: &[], allowed: Some(&[0b110]) }), 2);
}

#[test]
fn temperature_zero_takes_the_first_of_the_likeliest() {
    let mut greedy = Sampler::new(SamplingParams { temperature: 0.0, ..Default::default() }, &[]);
    assert_eq!(greedy.sample(&[1.0, 3.0, f32::NAN, 3.0], Choice::default()), 1);
    assert_eq!(greedy.sample(&[1.0, 3.0, f32::NAN, 3.0], banned(&[1])), 3);
    assert_eq!(greedy.sample(&[f32::NEG_INFINITY, -1e30, f32::INFINITY], Choice::default()), 2);
}

#[test]
fn nothing_possible_still_gives_a_token_that_is_not_banned() {
    for temperature in [0.0, 1.0] {
        let mut sampler = seeded(SamplingParams { temperature, ..Default::default() });
        assert_eq!(sampler.sample(&[f32::NAN, f32::NEG_INFINITY, f32::NAN], banned(&[0])), 1);
        assert_eq!(sampler.sample(&[], Choice::default()), 0);
    }
}

#[test]
fn the_same_seed_gives_the_same_tokens() {
    let logits: Vec<f32> = (0..500_u16).map(|token| f32::from(token % 37) / 5.0).collect();
    let draw = |seed| -> Vec<u32> {
        let mut sampler = Sampler::new(SamplingParams { seed, ..Default::default() }, &[]);
        (0..40).map(|_| sampler.sample(&logits, Choice::default())).collect()
    };
    assert_eq!(draw(Some(42)), draw(Some(42)));
    assert_eq!(draw(Some(-1)), draw(Some(-1)));
    assert_ne!(draw(Some(42)), draw(Some(43)));
    assert_ne!(draw(None), draw(None));
}

#[test]
fn penalties_follow_prompt_and_answer() {
    let scores = |params: SamplingParams| {
        let mut sampler = Sampler::new(params, &[0, 1]);
        sampler.accept(1);
        sampler.accept(2);
        sampler.accept(2);
        sampler.score(&[2.0, -2.0, 2.0, 2.0], Choice::default());
        sampler.scores
    };
    let none = SamplingParams::default();
    assert_eq!(scores(none.clone()), [2.0, -2.0, 2.0, 2.0]);
    assert_eq!(scores(SamplingParams { repetition_penalty: 2.0, ..none.clone() }), [1.0, -4.0, 1.0, 2.0]);
    assert_eq!(scores(SamplingParams { frequency_penalty: 0.5, ..none.clone() }), [2.0, -2.5, 1.0, 2.0]);
    assert_eq!(scores(SamplingParams { presence_penalty: 0.5, ..none.clone() }), [2.0, -2.5, 1.5, 2.0]);
    let all = SamplingParams { repetition_penalty: 2.0, frequency_penalty: 1.0, presence_penalty: 0.5, ..none };
    assert_eq!(scores(all), [1.0, -5.5, -1.5, 2.0]);
}

#[test]
fn bias_comes_before_penalties_and_outside_tokens_are_ignored() {
    let params = SamplingParams {
        temperature: 0.0,
        repetition_penalty: 4.0,
        logit_bias: vec![(0, 3.0), (9, 100.0)],
        ..Default::default()
    };
    let mut sampler = Sampler::new(params, &[0, 7]);
    sampler.score(&[1.0, 2.0], banned(&[8]));
    assert_eq!(sampler.scores, [1.0, 2.0]);
    assert_eq!(sampler.sample(&[1.0, 2.0], Choice::default()), 1);
}

#[test]
fn top_k_keeps_ties_and_top_p_one_token_at_least() {
    let logits = [1.0, 5.0, 5.0, 5.0, 0.0];
    let drawn = |params: SamplingParams| {
        let mut sampler = seeded(params);
        let mut drawn: Vec<u32> = (0..200).map(|_| sampler.sample(&logits, Choice::default())).collect();
        drawn.sort_unstable();
        drawn.dedup();
        drawn
    };
    assert_eq!(drawn(SamplingParams { top_k: 1, ..Default::default() }), [1, 2, 3]);
    assert_eq!(drawn(SamplingParams { top_p: 1e-9, ..Default::default() }), [1]);
    assert_eq!(drawn(SamplingParams { min_p: 1.0, ..Default::default() }), [1, 2, 3]);
    assert_eq!(drawn(SamplingParams { top_k: -1, temperature: 100.0, ..Default::default() }), [0, 1, 2, 3, 4]);
}

#[test]
fn draws_follow_the_probabilities() {
    let logits: [f32; 5] = [0.0, 1.0, 2.0, 3.0, -2.0];
    let params = SamplingParams { temperature: 1.5, top_p: 0.97, ..Default::default() };
    let expected = reference(&logits, &params);
    let mut sampler = seeded(params);
    let mut counts = [0_u32; 5];
    for _ in 0..100_000 {
        counts[sampler.sample(&logits, Choice::default()) as usize] += 1;
    }
    assert_eq!(counts[4], 0);
    for (token, probability) in expected {
        let share = f64::from(counts[token as usize]) / 100_000.0;
        assert!((share - probability).abs() < 0.01, "token {token}: {share}, expected {probability}");
    }
}

fn params() -> impl Strategy<Value = SamplingParams> {
    let top_p = prop_oneof![Just(1.0_f32), 0.01_f32..1.0];
    let min_p = prop_oneof![Just(0.0_f32), 0.001_f32..1.0];
    let top_k = prop_oneof![Just(0), Just(-1), 1..20, 20..2000];
    (0.05_f32..2.0, top_p, min_p, top_k).prop_map(|(temperature, top_p, min_p, top_k)| SamplingParams {
        temperature,
        top_p,
        top_k,
        min_p,
        ..Default::default()
    })
}

/// Logits on a coarse grid, so that there are ties, with holes; the seed of a large vocabulary.
fn logits() -> impl Strategy<Value = Vec<f32>> {
    let logit = prop_oneof![
        8 => (-200_i16..100).prop_map(|grid| f32::from(grid) / 8.0),
        1 => Just(f32::NEG_INFINITY),
    ];
    prop_oneof![prop::collection::vec(logit.clone(), 1..20), prop::collection::vec(logit, 1..3000)]
}

proptest! {
    #[test]
    fn the_fast_exponential_is_exact_enough(x in -90.0_f32..=0.0) {
        let (fast, exact) = (f64::from(super::candidates::exp_of_negative(x)), f64::from(x).exp());
        prop_assert!((fast - exact).abs() <= exact * 3e-7 || x < -87.0 && fast == 0.0, "{x}: {fast} {exact}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_set_that_is_drawn_from_equals_the_reference(logits in logits(), params in params()) {
        prop_assume!(logits.iter().any(|logit| logit.is_finite()));
        // At a border of `top_p` or `min_p` single and double precision may differ by a token.
        let close = |shift: f32| {
            let top_p = if params.top_p < 1.0 { (params.top_p + shift).clamp(0.0, 1.0) } else { 1.0 };
            reference(&logits, &SamplingParams { top_p, min_p: params.min_p * (1.0 - shift), ..params.clone() })
        };
        let (mut fewest, most) = (close(-1e-4), close(1e-4));
        // What single precision can not weigh is as good as impossible.
        fewest.retain(|&(_, probability)| probability > 1e-30);
        let mut candidates = Candidates::default();
        let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for uniform in [0.0, 0.3, 0.999_999] {
            let token = candidates.draw(&logits, best, &params, uniform).unwrap();
            prop_assert!(most.iter().any(|&(kept, _)| kept == token));
        }
        let mut kept = candidates.kept_tokens();
        kept.sort_unstable();
        prop_assert!(fewest.iter().all(|(token, _)| kept.contains(token)), "{kept:?} lacks some of {fewest:?}");
        prop_assert!(kept.iter().all(|token| most.iter().any(|(other, _)| other == token)), "{kept:?} {most:?}");
    }

    #[test]
    fn any_floats_and_parameters_give_a_token_of_the_vocabulary(
        logits in prop::collection::vec(any::<f32>(), 1..300),
        temperature in any::<f32>(), top_p in any::<f32>(), min_p in any::<f32>(), top_k in any::<i32>(),
        penalties in any::<[f32; 3]>(), bias in prop::collection::vec((0_u32..400, any::<f32>()), 0..4),
        forbidden in prop::collection::vec(0_u32..400, 0..4), seed in any::<i64>(),
    ) {
        let params = SamplingParams {
            temperature, top_p, top_k, min_p,
            frequency_penalty: penalties[0], presence_penalty: penalties[1], repetition_penalty: penalties[2],
            seed: Some(seed), logit_bias: bias,
        };
        let mut sampler = Sampler::new(params, &[1, 2, 3]);
        for _ in 0..3 {
            let token = sampler.sample(&logits, banned(&forbidden));
            prop_assert!((token as usize) < logits.len());
            let all = (0..logits.len()).all(|other| forbidden.iter().any(|&token| token as usize == other));
            prop_assert!(!forbidden.contains(&token) || all);
            sampler.accept(token);
        }
    }
}
