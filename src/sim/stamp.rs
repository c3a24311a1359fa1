//! Wall time as each service writes it.

use std::time::Duration;

use jiff::Timestamp;

/// `2026-11-24T08:15:00.137`: zones and record sets.
pub(super) fn millis(wall: Duration) -> String {
    format(wall, "%Y-%m-%dT%H:%M:%S.%3f")
}

/// `2026-11-24T08:15:00.137000Z`: the end of temporary keys.
pub(super) fn micros(wall: Duration) -> String {
    format(wall, "%Y-%m-%dT%H:%M:%S.%6fZ")
}

/// `Tue, 24 Nov 2026 08:15:00 GMT`: the `Date` of an HTTP answer.
pub(super) fn http(wall: Duration) -> String {
    format(wall, "%a, %d %b %Y %H:%M:%S GMT")
}

fn format(wall: Duration, form: &str) -> String {
    let seconds = i64::try_from(wall.as_secs()).unwrap_or(i64::MAX);
    let nanoseconds = i32::try_from(wall.subsec_nanos()).unwrap_or(0);
    Timestamp::new(seconds, nanoseconds).unwrap_or_default().strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_has_its_own_way() {
        let wall = Duration::from_millis(1_795_508_100_137);
        assert_eq!(millis(wall), "2026-11-24T08:15:00.137");
        assert_eq!(micros(wall), "2026-11-24T08:15:00.137000Z");
        assert_eq!(http(wall), "Tue, 24 Nov 2026 08:15:00 GMT");
    }
}
