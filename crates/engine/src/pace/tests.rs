use super::*;

const STEP: Duration = Duration::from_millis(10);

/// Runs steps of 10 ms in which the threads together get `cores` of time.
fn run(pace: &mut Pace, now: &mut Duration, steps: u32, cores: f64) {
    for _ in 0..steps {
        *now += STEP;
        let used = cores.min(f64::from(pace.threads()));
        pace.after_step(StepTimes { now: *now, wall: STEP, cpu: STEP.mul_f64(used) });
        pace.machine_idle(*now, cores - f64::from(pace.threads()));
    }
}

#[test]
fn a_taken_core_is_left_and_a_free_one_is_taken() {
    let (mut pace, mut now) = (Pace::new(2), Duration::ZERO);
    run(&mut pace, &mut now, 50, 2.0);
    assert_eq!(pace.threads(), 2);
    run(&mut pace, &mut now, 20, 1.5);
    assert_eq!(pace.threads(), 1, "within a fifth of a second");
    run(&mut pace, &mut now, 100, 1.5);
    assert_eq!(pace.threads(), 1, "half a core is no core");
    run(&mut pace, &mut now, 20, 2.0);
    assert_eq!(pace.threads(), 2, "within a fifth of a second");
}

#[test]
fn small_losses_are_no_reason() {
    let (mut pace, mut now) = (Pace::new(4), Duration::ZERO);
    run(&mut pace, &mut now, 200, 3.8);
    assert_eq!(pace.threads(), 4);
    run(&mut pace, &mut now, 3, 2.0);
    run(&mut pace, &mut now, 20, 3.9);
    assert!(pace.threads() >= 2, "a hiccup");
}

#[test]
fn a_core_that_comes_and_goes_is_tried_less_and_less() {
    let (mut pace, mut now) = (Pace::new(2), Duration::ZERO);
    let mut raised = 0;
    for _ in 0..60 {
        run(&mut pace, &mut now, 25, 2.0);
        raised += u32::from(pace.threads() == 2);
        run(&mut pace, &mut now, 25, 1.4);
    }
    assert!((1..20).contains(&raised), "{raised} of 60 times");
    run(&mut pace, &mut now, 600, 2.0);
    assert_eq!(pace.threads(), 2, "and not given up for ever");
}

#[test]
fn one_core_is_enough_and_many_can_go_at_once() {
    let (mut pace, mut now) = (Pace::new(1), Duration::ZERO);
    run(&mut pace, &mut now, 50, 0.5);
    assert_eq!(pace.threads(), 1);
    let mut pace = Pace::new(16);
    run(&mut pace, &mut now, 40, 6.0);
    assert!((4..=8).contains(&pace.threads()), "{}", pace.threads());
}
