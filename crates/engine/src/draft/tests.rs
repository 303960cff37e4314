use super::*;

/// A lone token costs 10 ms, each further one 3 ms.
fn cost() -> StepCost {
    let mut cost = StepCost::default();
    for tokens in [1_u8, 2, 4, 8, 1, 2] {
        cost.observe(tokens.into(), 0.007 + 0.003 * f64::from(tokens));
    }
    cost
}

#[test]
fn what_stood_there_before_is_guessed() {
    let mut drafter = Drafter::default();
    assert!(drafter.propose(&[1, 2], &cost(), 1).is_empty(), "too short");
    assert!(drafter.propose(&[1, 2, 3, 4, 5, 9], &cost(), 1).is_empty(), "nothing repeats");
    let guessed = drafter.propose(&[1, 2, 3, 4, 5, 9, 1, 2, 3], &cost(), 1);
    assert!(!guessed.is_empty() && [4, 5, 9, 1].starts_with(&guessed), "{guessed:?}");
    // The latest place wins.
    let tokens = [1, 2, 3, 4, 1, 2, 3, 7, 7, 7, 7, 1, 2, 3];
    assert_eq!(Drafter::default().propose(&tokens, &cost(), 1)[0], 7);
}

#[test]
fn guesses_that_come_true_make_more_and_failures_make_pauses() {
    let tokens: Vec<u32> = (0..60).chain(0..3).collect();
    let mut drafter = Drafter::default();
    let before = drafter.propose(&tokens, &cost(), 1).len();
    for _ in 0..10 {
        drafter.learn(4, 4, tokens.len());
    }
    assert!(drafter.propose(&tokens, &cost(), 1).len() > before);
    drafter.learn(4, 0, tokens.len());
    assert!(drafter.propose(&tokens, &cost(), 1).is_empty(), "a pause");
    let later: Vec<u32> = (0..70).chain(0..3).collect();
    assert!(!drafter.propose(&later, &cost(), 1).is_empty(), "and again");
    for _ in 0..40 {
        drafter.learn(4, 0, 73);
    }
    assert_eq!(drafter.paused_until, 73 + LONGEST_PAUSE);
}

#[test]
fn the_line_is_found_and_guesses_stop_where_they_do_not_pay() {
    let (base, per_token) = cost().line().expect("seen");
    assert!((base - 0.007).abs() < 1e-4 && (per_token - 0.003).abs() < 1e-4, "{base} {per_token}");
    assert_eq!(StepCost::default().worthwhile(0.9, 1, 8), 0, "nothing known");
    assert_eq!(cost().worthwhile(0.0, 1, 8), 0);
    assert_eq!(cost().worthwhile(1.0, 1, 8), 8);
    let alone = cost().worthwhile(0.8, 1, 16);
    let crowded = cost().worthwhile(0.8, 16, 16);
    assert!(alone >= 4 && crowded == 0, "{alone} {crowded}: in a full batch a token costs what it saves");
}

#[test]
fn one_size_of_step_is_enough_to_begin_with() {
    let mut cost = StepCost::default();
    for _ in 0..50 {
        cost.observe(1, 0.01);
    }
    let (base, per_token) = cost.line().expect("seen");
    assert!((base - 0.007).abs() < 1e-6 && (per_token - 0.003).abs() < 1e-6);
}
