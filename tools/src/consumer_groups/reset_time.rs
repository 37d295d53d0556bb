//! Times on the command line: `2026-01-31T10:00:00.000+01:00`, and durations such as `P1DT2H`.

use chrono::DateTime;
use regex::Regex;

use crate::failure::Failure;

/// Milliseconds since 1970; a time without zone is UTC.
pub fn datetime(text: &str) -> Result<i64, Failure> {
    let wrong = || Failure::said(format!("Unparseable date: \"{text}\""));
    let Some((_, time)) = text.split_once('T') else {
        return Err(Failure::said(
            "Error parsing timestamp. It does not contain a 'T' according to ISO8601 format",
        ));
    };
    let has_zone = time.contains(['+', '-', 'Z']);
    let with_zone = if has_zone {
        text.to_owned()
    } else {
        format!("{text}Z")
    };
    let with_zone = with_zone.replace('Z', "+00:00");
    let read = DateTime::parse_from_str(&with_zone, "%Y-%m-%dT%H:%M:%S%.f%:z");
    read.map(|time| time.timestamp_millis())
        .map_err(|_| wrong())
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
            ("2026-01-31T10:00:00.000", 1_769_853_600_000),
        ] {
            assert_eq!(datetime(text).unwrap(), millis, "{text}");
        }
        for wrong in ["1970-01-01", "1970-01-01Tnoon", "soon"] {
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
