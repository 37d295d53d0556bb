//! Times on the command line: `2026-01-31T10:00:00.000+01:00`, and durations such as `P1DT2H`.

use chrono::NaiveDate;
use regex::Regex;

use crate::failure::Failure;

/// Milliseconds since 1970; a time without zone is UTC. As with Kafka's tool, what follows is not looked
/// at, and what follows the second's point are milliseconds: `.5` is five of them.
pub fn datetime(text: &str) -> Result<i64, Failure> {
    let Some((_, time)) = text.split_once('T').filter(|(_, time)| !time.is_empty()) else {
        return Err(Failure::said(
            "java.text.ParseException: Error parsing timestamp. It does not contain a 'T' according to ISO8601 format",
        ));
    };
    let with_zone = match time.contains(['+', '-', 'Z']) {
        true => text.to_owned(),
        false => format!("{text}Z"),
    };
    let wrong = || {
        Failure::said(format!(
            "java.text.ParseException: Unparseable date: \"{with_zone}\""
        ))
    };
    let pattern = r"^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)\.(\d+)(?:Z|([+-])(\d\d)(?::(\d\d))?)";
    let pattern = Regex::new(pattern).expect("it is a regular expression");
    let parts = pattern.captures(&with_zone).ok_or_else(wrong)?;
    let number = |at: usize| match parts.get(at) {
        Some(digits) => digits.as_str().parse::<u32>().ok(),
        None => Some(0),
    };
    let read = || {
        let year = number(1).and_then(|year| i32::try_from(year).ok());
        let date = NaiveDate::from_ymd_opt(year.filter(|year| *year > 0)?, number(2)?, number(3)?)?;
        let millis = number(7).filter(|millis| *millis < 1_000)?;
        let second = number(6).filter(|second| *second < 60)?;
        let time = date.and_hms_milli_opt(number(4)?, number(5)?, second, millis)?;
        let hours = number(9).filter(|hours| *hours < 24)?;
        let minutes = number(10).filter(|minutes| *minutes < 60)?;
        let east_millis = i64::from(hours * 60 + minutes) * 60_000;
        let is_west = parts.get(8).is_some_and(|sign| sign.as_str() == "-");
        let east_millis = if is_west { -east_millis } else { east_millis };
        Some(time.and_utc().timestamp_millis() - east_millis)
    };
    read().ok_or_else(wrong)
}

/// ISO 8601's `PnDTnHnMn.nS` in milliseconds; every number, and the whole, may have a sign.
pub fn duration_millis(text: &str) -> Result<i64, Failure> {
    let wrong = || Failure::said("Text cannot be parsed to a Duration".to_owned());
    let pattern = r"(?i)^([-+]?)P(?:([-+]?\d+)D)?(T(?:([-+]?\d+)H)?(?:([-+]?\d+)M)?(?:([-+]?\d+(?:[.,]\d{0,9})?)S)?)?$";
    let pattern = Regex::new(pattern).expect("it is a regular expression");
    let parts = pattern.captures(text).ok_or_else(wrong)?;
    let is_bare_t = parts.get(3).is_some_and(|time| time.len() == 1);
    let is_empty = [2, 4, 5, 6].iter().all(|at| parts.get(*at).is_none());
    if is_bare_t || is_empty {
        return Err(wrong());
    }
    let mut millis = 0i64;
    for (at, unit_millis) in [(2, 86_400_000), (4, 3_600_000), (5, 60_000)] {
        if let Some(number) = parts.get(at) {
            let number: i64 = number.as_str().parse().map_err(|_| wrong())?;
            let part = number.checked_mul(unit_millis).ok_or_else(wrong)?;
            millis = millis.checked_add(part).ok_or_else(wrong)?;
        }
    }
    if let Some(seconds) = parts.get(6) {
        let seconds: f64 = seconds
            .as_str()
            .replace(',', ".")
            .parse()
            .map_err(|_| wrong())?;
        millis = millis.saturating_add((seconds * 1000.0) as i64);
    }
    Ok(if &parts[1] == "-" { -millis } else { millis })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_zone_is_utc() {
        for (text, millis) in [
            ("1970-01-01T00:00:01.000", 1_000),
            ("1970-01-01T00:00:01.000Z", 1_000),
            ("1970-01-01T01:00:00.500+01:00", 500),
            ("1969-12-31T22:30:00.500-01:30", 500),
            ("1970-01-01T01:00:00.500+01", 500),
            ("1970-01-01T01:00:00.500+0130", 500),
            ("1970-1-1T0:0:1.5", 1_005),
            ("1970-01-01T00:00:01.000Z and more", 1_000),
            ("2026-01-31T10:00:00.000", 1_769_853_600_000),
        ] {
            assert_eq!(datetime(text).unwrap(), millis, "{text}");
        }
        for wrong in [
            "1970-01-01",
            "1970-01-01T",
            "1970-01-01Tnoon",
            "soon",
            "1970-01-01T00:00:00",
            "1970-01-01T00:00:00Z",
            "1970-01-01T00:00:00.1000",
            "1970-13-01T00:00:00.000",
            "1970-02-29T00:00:00.000",
            "1970-01-01T24:00:00.000",
            "1970-01-01T00:00:60.000",
            "1970-01-01T00:00:00.000+1",
        ] {
            assert!(datetime(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_javas() {
        for (text, millis) in [
            ("P1D", 86_400_000),
            ("PT1H1M", 3_660_000),
            ("P1DT0.5S", 86_400_500),
            ("-PT1M", -60_000),
            ("PT-1H", -3_600_000),
            ("pt10s", 10_000),
        ] {
            assert_eq!(duration_millis(text).unwrap(), millis, "{text}");
        }
        for wrong in ["", "P", "PT", "1D", "P1H", "P1DT"] {
            assert!(duration_millis(wrong).is_err(), "{wrong}");
        }
    }
}
