//! Which word is next, and when a model that has lost its way is stopped.

use rand::Rng;

/// Words among which a warm model chooses.
const CHOICE: usize = 40;
/// Longest row of words whose repetition is noticed.
const LOOP_WORDS_MAX: usize = 48;
/// A row of one or two words comes twice in honest texts; this many words must repeat in all.
const LOOP_WORDS_MIN: usize = 12;

/// The next word: the likeliest at temperature zero.
pub fn next(scores: &[f32], temperature: f32, dice: &mut impl Rng) -> u32 {
    let better = |a: &usize, b: &usize| scores[*b].total_cmp(&scores[*a]);
    let mut best: Vec<usize> = (0..scores.len()).collect();
    if temperature <= 0.0 || scores.len() <= 1 {
        let at = best.into_iter().min_by(better).unwrap_or_default();
        return u32::try_from(at).unwrap_or_default();
    }
    let kept = CHOICE.min(best.len());
    best.select_nth_unstable_by(kept - 1, better);
    best.truncate(kept);
    let top = best.iter().map(|at| scores[*at]).fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f32> = best.iter().map(|at| ((scores[*at] - top) / temperature).exp()).collect();
    let mut left = dice.random::<f32>() * weights.iter().sum::<f32>();
    let chosen = best.iter().zip(&weights).find(|(_, weight)| {
        left -= **weight;
        left <= 0.0
    });
    u32::try_from(chosen.map_or(best[0], |(at, _)| *at)).unwrap_or_default()
}

/// Whether the last words are a row that was said right before.
pub fn is_loop(words: &[u32]) -> bool {
    (1..=LOOP_WORDS_MAX.min(words.len() / 2)).any(|len| {
        let times = LOOP_WORDS_MIN.div_ceil(len).max(2);
        let Some(from) = words.len().checked_sub(len * times) else { return false };
        let last = &words[words.len() - len..];
        words[from..].chunks(len).all(|row| row == last)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn cold_takes_the_likeliest_and_warm_takes_likely_ones() {
        let scores = [0.0, 5.0, 4.9, -3.0];
        let mut dice = StdRng::seed_from_u64(7);
        assert_eq!(next(&scores, 0.0, &mut dice), 1);
        let mut times = [0_u32; 4];
        (0..1_000).for_each(|_| times[next(&scores, 1.0, &mut dice) as usize] += 1);
        assert!(times[1] > times[2] && times[2] > 300 && times[3] < 10, "{times:?}");
    }

    #[test]
    fn loops_are_noticed_and_lists_are_not() {
        assert!(is_loop(&[7; 12]));
        assert!(is_loop(&[9, 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6]));
        assert!(!is_loop(&[1, 2, 1, 2, 1, 2]));
        assert!(!is_loop(&[7; 5]));
        assert!(!is_loop(&(0..64).collect::<Vec<_>>()));
    }
}
