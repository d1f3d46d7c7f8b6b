//! How amazon-kinesis-scaling-utils reads a percentage, to the last bit of its floating point: for
//! those whose settings were tuned to it. Everything else here counts in integers.

/// The command line's `scaleUp` by a fraction: below 1 it is taken as 1 plus itself, and the result
/// is added to what there is, so that nothing grows by less than double.
pub(crate) fn command_up(current: u32, fraction: f64) -> u32 {
    let fraction = if fraction < 1.0 { 1.0 + fraction } else { fraction };
    let current = f64::from(current);
    (current + current * fraction).ceil() as u32
}

/// The command line's `scaleDown` by a fraction: at least one shard less, at least one left.
pub(crate) fn command_down(current: u32, fraction: f64) -> u32 {
    let current = f64::from(current);
    (current - (current * fraction).max(1.0)).ceil().max(1.0) as u32
}

/// The monitor's `scaleUp.scalePct`: below 100 by as much, from 100 on to as much.
pub(crate) fn monitor_up(current: u32, percent: u32) -> u32 {
    let factor = f64::from(percent) / 100.0;
    let factor = if percent < 100 { 1.0 + factor } else { factor };
    (f64::from(current) * factor).ceil() as u32
}

/// The monitor's `scaleDown.scalePct`: up to 100 by as much, above divided by it; at least one left.
pub(crate) fn monitor_down(current: u32, percent: u32) -> u32 {
    let factor = f64::from(percent) / 100.0;
    if percent > 100 {
        ((f64::from(current) / factor).floor() as u32).max(1)
    } else {
        current.saturating_sub((f64::from(current) * factor).floor() as u32).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_counts_as_the_original() {
        for (current, fraction, target) in
            [(10, 0.2, 22), (10, 1.0, 20), (3, 0.5, 8), (10, 2.0, 30)]
        {
            assert_eq!(command_up(current, fraction), target, "up {current} by {fraction}");
        }
        for (current, fraction, target) in [(10, 0.25, 8), (2, 0.1, 1), (10, 2.0, 1), (5, 0.0, 4)] {
            assert_eq!(command_down(current, fraction), target, "down {current} by {fraction}");
        }
    }

    #[test]
    fn the_monitor_counts_as_the_original() {
        // The original's unit tests.
        for (current, percent, target) in [
            (1, 15, 2),
            (1, 70, 2),
            (10, 70, 17),
            (5, 110, 6),
            (7, 200, 14),
            (2, 300, 6),
            (8, 1100, 88),
        ] {
            assert_eq!(monitor_up(current, percent), target, "up {current} by {percent}");
        }
        for (current, percent, target) in [
            (3, 15, 3),
            (1, 500, 1),
            (10, 1200, 1),
            (1, 20, 1),
            (10, 20, 8),
            (6, 50, 3),
            (6, 200, 3),
            (5, 110, 4),
            (10, 300, 3),
        ] {
            assert_eq!(monitor_down(current, percent), target, "down {current} by {percent}");
        }
        // Where it jumps.
        assert_eq!([99, 100, 101].map(|percent| monitor_up(100, percent)), [199, 100, 101]);
        assert_eq!([99, 100, 101].map(|percent| monitor_down(10, percent)), [1, 1, 9]);
        assert_eq!((monitor_up(75, 150), monitor_down(75, 25)), (113, 57));
    }

    #[test]
    fn the_monitor_errs_where_the_original_errs() {
        let up = [
            (50, 56),
            (90, 100),
            (100, 111),
            (110, 122),
            (170, 188),
            (180, 199),
            (190, 210),
            (200, 221),
        ];
        for (current, target) in up {
            assert_eq!(
                (monitor_up(current, 10), monitor_up(current, 110)),
                (target, target),
                "{current}"
            );
        }
        let down =
            [(33, 29), (55, 49), (66, 59), (99, 89), (110, 99), (121, 109), (132, 119), (198, 179)];
        for (current, target) in down {
            assert_eq!(monitor_down(current, 110), target, "{current}");
        }
        for (current, percent, target) in [
            (50, 58, 22),
            (90, 70, 28),
            (100, 29, 72),
            (100, 57, 44),
            (100, 58, 43),
            (170, 70, 52),
            (180, 70, 55),
            (200, 29, 143),
        ] {
            assert_eq!(monitor_down(current, percent), target, "{current} {percent}");
        }
    }
}
