//! The last steps of a vector: its length becomes 1.

/// Scales a vector to length 1; one without a direction stays as it is.
pub(super) fn normalized(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|&number| f64::from(number) * f64::from(number)).sum::<f64>().sqrt();
    if length > 0.0 && length.is_finite() {
        for number in &mut vector {
            #[expect(clippy::cast_possible_truncation, reason = "the quotient is at most 1")]
            let scaled = (f64::from(*number) / length) as f32;
            *number = scaled;
        }
    }
    vector
}

/// The first `dimensions` numbers, scaled to length 1 again; all of them when there are not more.
pub(crate) fn shortened(mut vector: Vec<f32>, dimensions: usize) -> Vec<f32> {
    if dimensions >= vector.len() {
        return vector;
    }
    vector.truncate(dimensions);
    normalized(vector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_have_length_1_also_when_shortened() {
        assert_eq!(normalized(vec![3.0, 4.0]), [0.6, 0.8]);
        assert_eq!(normalized(vec![0.0, 0.0]), [0.0, 0.0]);
        assert_eq!(shortened(vec![0.6, 0.0, 0.8], 1), [1.0]);
        assert_eq!(shortened(vec![0.6, 0.8], 2), [0.6, 0.8]);
    }
}
