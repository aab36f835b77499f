//! What a window will have cost at its end: what it cost so far, and for each day to come the median of the same weekday in
//! the last eight weeks. Whole numbers throughout; a pure function of days.

/// Days of history that a forecast needs.
pub const DAYS_MIN: usize = 7;
/// Days of history that it uses: eight weeks.
pub const DAYS_MAX: usize = 56;
/// Fewer same weekdays than this, and all days together stand in for them.
const SAME_WEEKDAYS_MIN: usize = 2;
/// 90 % of a normal distribution lie below its mean and 1.2816 standard deviations, in ten-thousandths.
const P90_TEN_THOUSANDTHS: i128 = 12_816;
/// A normal distribution's standard deviation in its median absolute deviations, in ten-thousandths.
const DEVIATION_TEN_THOUSANDTHS: i128 = 14_826;
const TEN_THOUSAND: i128 = 10_000;

/// One whole day that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// ISO's number of the weekday, 1 to 7.
    pub weekday: u8,
    /// What it cost.
    pub units: i64,
}

/// Where the window stands.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    /// What it cost so far, today included.
    pub actual: i64,
    /// What today cost so far, and its weekday.
    pub today: Day,
    /// Weekdays of the days behind today that the window still has.
    pub to_come: &'a [u8],
}

/// What the window will have cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// As likely more as less.
    pub p50: i64,
    /// More in one of ten cases.
    pub p90: i64,
}

/// Forecasts from whole days, the newest last. `None`: fewer than seven, too little to tell weekdays apart.
pub fn forecast(history: &[Day], standing: &Standing<'_>) -> Option<Forecast> {
    if history.len() < DAYS_MIN {
        return None;
    }
    let history = &history[history.len().saturating_sub(DAYS_MAX)..];
    let all: Vec<i128> = history.iter().map(|day| i128::from(day.units)).collect();
    let of_weekday: Vec<(i128, i128)> = (1..=7)
        .map(|weekday| {
            let same: Vec<i128> =
                history.iter().filter(|day| day.weekday == weekday).map(|day| i128::from(day.units)).collect();
            spread(if same.len() < SAME_WEEKDAYS_MIN { &all } else { &same })
        })
        .collect();
    let usual = |weekday: u8| of_weekday[usize::from(weekday.clamp(1, 7)) - 1];
    let (today_median, today_deviation) = usual(standing.today.weekday);
    let left_today = (today_median - i128::from(standing.today.units)).max(0);
    let mut p50 = i128::from(standing.actual) + left_today;
    let mut variance = if left_today > 0 { today_deviation * today_deviation } else { 0 };
    for weekday in standing.to_come {
        let (median, deviation) = usual(*weekday);
        p50 += median;
        variance = variance.saturating_add(deviation.saturating_mul(deviation));
    }
    let above = root(variance) * P90_TEN_THOUSANDTHS / TEN_THOUSAND;
    let narrow = |units: i128| i64::try_from(units).unwrap_or(i64::MAX);
    Some(Forecast { p50: narrow(p50), p90: narrow(p50 + above) })
}

/// The median, and how far a day usually is from it.
fn spread(values: &[i128]) -> (i128, i128) {
    let middle = median(values.to_vec());
    let away = median(values.iter().map(|value| (value - middle).abs()).collect());
    (middle, away * DEVIATION_TEN_THOUSANDTHS / TEN_THOUSAND)
}

fn median(mut values: Vec<i128>) -> i128 {
    values.sort_unstable();
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2 }
}

/// The whole part of a square root.
fn root(value: i128) -> i128 {
    if value < 2 {
        return value.max(0);
    }
    let mut guess = 1i128 << (value.ilog2() / 2 + 1);
    loop {
        let better = (guess + value / guess) / 2;
        if better >= guess {
            return guess;
        }
        guess = better;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    /// Workdays cost a hundred, weekends ten.
    fn usual(weekday: u8) -> i64 {
        if weekday <= 5 { 100_000 } else { 10_000 }
    }

    fn weeks(count: usize, mut units: impl FnMut(u8) -> i64) -> Vec<Day> {
        (0..count * 7).map(|at| (at % 7 + 1) as u8).map(|weekday| Day { weekday, units: units(weekday) }).collect()
    }

    #[test]
    fn weekdays_are_told_apart() {
        let history = weeks(8, usual);
        // Ten days of the window are over, today is a Friday with half of its cost, a weekend and a Monday follow.
        let standing = Standing { actual: 750_000, today: Day { weekday: 5, units: 50_000 }, to_come: &[6, 7, 1] };
        let found = forecast(&history, &standing).unwrap();
        assert_eq!(found, Forecast { p50: 750_000 + 50_000 + 20_000 + 100_000, p90: 920_000 });
    }

    #[test]
    fn one_wild_day_changes_little() {
        let mut history = weeks(8, usual);
        history[30].units = 50_000_000;
        let standing = Standing { actual: 0, today: Day { weekday: 7, units: 10_000 }, to_come: &[1, 2, 3, 4, 5] };
        assert_eq!(forecast(&history, &standing).unwrap().p50, 500_000);
    }

    #[test]
    fn less_than_a_week_is_no_forecast() {
        let history = weeks(1, usual);
        let standing = Standing { actual: 5, today: Day { weekday: 1, units: 5 }, to_come: &[] };
        assert_eq!(forecast(&history[..6], &standing), None);
        assert!(forecast(&history, &standing).is_some());
        // A day that is dearer than usual adds nothing, and takes nothing away.
        let dear = Standing { actual: 900_000, today: Day { weekday: 7, units: 800_000 }, to_come: &[] };
        assert_eq!(forecast(&weeks(8, usual), &dear).unwrap().p50, 900_000);
    }

    /// Days that scatter by a known share: nine of ten windows must end below p90, half of them below p50.
    #[test]
    fn nine_of_ten_windows_end_below_p90() {
        let mut dice = StdRng::seed_from_u64(7);
        let (mut below_50, mut below_90) = (0, 0);
        let windows = 400;
        for _ in 0..windows {
            // Twelve dice are nearly normal.
            let mut day = |weekday: u8| {
                let noise: i64 = (0..12).map(|_| dice.random_range(-1_000..=1_000)).sum();
                usual(weekday) + noise * usual(weekday) / 10_000
            };
            let history = weeks(8, &mut day);
            let to_come: Vec<u8> = (0..20).map(|at| (at % 7 + 1) as u8).collect();
            let ended: i64 = to_come.iter().map(|weekday| day(*weekday)).sum();
            let found = forecast(
                &history,
                &Standing { actual: 0, today: Day { weekday: 7, units: 10_000 }, to_come: &to_come },
            )
            .unwrap();
            below_50 += i32::from(ended <= found.p50);
            below_90 += i32::from(ended <= found.p90);
        }
        assert!((windows * 40 / 100..=windows * 60 / 100).contains(&below_50), "{below_50} of {windows} below p50");
        assert!((windows * 78 / 100..=windows * 98 / 100).contains(&below_90), "{below_90} of {windows} below p90");
    }

    proptest! {
        #[test]
        fn roots_are_whole_parts(value in 0i128..i128::from(i64::MAX) * 1_000_000) {
            let found = root(value);
            prop_assert!(found * found <= value && (found + 1) * (found + 1) > value);
        }

        #[test]
        fn more_is_never_less(history in prop::collection::vec((1u8..=7, 0i64..1_000_000_000_000), 7..60), actual in 0i64..1_000_000_000_000, to_come in prop::collection::vec(1u8..=7, 0..31)) {
            let history: Vec<Day> = history.into_iter().map(|(weekday, units)| Day { weekday, units }).collect();
            let found = forecast(&history, &Standing { actual, today: Day { weekday: 1, units: 0 }, to_come: &to_come }).unwrap();
            prop_assert!(actual <= found.p50 && found.p50 <= found.p90);
        }
    }
}
