//! Moments in messages, as Java's `Date` prints them.

use baikonur_stream::Timestamp;

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
        let moment = Timestamp::from_seconds(1_421_889_722);
        assert_eq!(java_date(moment), "Thu Jan 22 01:22:02 UTC 2015");
        assert!(!java_date(Timestamp::from_millis(u64::MAX)).is_empty());
    }
}
