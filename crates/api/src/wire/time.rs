//! Moments as the API writes them: epoch seconds with a fraction, and Java's `Date` text in messages.

use std::io::Write as _;

use baikonur_stream::Timestamp;

/// Appends a moment as a JSON number: seconds with three decimals.
pub(crate) fn write_seconds(out: &mut Vec<u8>, moment: Timestamp) {
    write!(out, "{moment}").expect("a Vec takes all that is written");
}

/// A moment as Java prints a `Date`, `Thu Jan 22 01:22:02 UTC 2015`.
pub(crate) fn java_date(moment: Timestamp) -> String {
    let moment = i64::try_from(moment.millis())
        .ok()
        .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok())
        .unwrap_or(jiff::Timestamp::MAX);
    moment.strftime("%a %b %d %H:%M:%S UTC %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_as_the_service_writes_them() {
        let mut out = Vec::new();
        write_seconds(&mut out, Timestamp::from_millis(1_545_084_650_987));
        assert_eq!(out, b"1545084650.987");
        let moment = Timestamp::from_seconds(1_421_889_722);
        assert_eq!(java_date(moment), "Thu Jan 22 01:22:02 UTC 2015");
        assert!(!java_date(Timestamp::from_millis(u64::MAX)).is_empty());
    }
}
