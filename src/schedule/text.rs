//! The two ways to write a schedule: a cron pattern, or days and a time.

use std::sync::LazyLock;

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

use super::error::{ScheduleError, shorten};

/// Reads a schedule's text in either form.
pub(super) fn parse(text: &str) -> Result<Cron, ScheduleError> {
    match pattern_of_words(text) {
        Some(pattern) => parser().parse(&pattern).map_err(|_| form_error(text)),
        None => parse_fields(text),
    }
}

fn parser() -> &'static CronParser {
    static PARSER: LazyLock<CronParser> = LazyLock::new(|| {
        CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build()
    });
    &PARSER
}

/// The fields of a pattern with six, and what each may hold.
const FIELDS: [(&str, &str); 6] = [
    ("second", "0 to 59"),
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day", "1 to 31 or L for the last"),
    ("month", "1 to 12 or JAN to DEC"),
    ("weekday", "0 to 7 (0 and 7 are Sunday) or MON to SUN"),
];

fn parse_fields(text: &str) -> Result<Cron, ScheduleError> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let is_nickname = text.trim().starts_with('@');
    if !is_nickname && !matches!(fields.len(), 5 | 6) {
        return Err(form_error(text));
    }
    if let Ok(cron) = parser().parse(text) {
        return Ok(cron);
    }
    // The crate does not say which field it refuses: each is tried alone.
    let first = FIELDS.len().saturating_sub(fields.len());
    for (i, value) in fields.iter().enumerate().filter(|_| !is_nickname) {
        let mut alone = ["*"; 6];
        alone[first + i] = value;
        if parser().parse(&alone.join(" ")).is_err() {
            let (field, allowed) = FIELDS[first + i];
            return Err(ScheduleError::Field {
                text: shorten(text),
                field,
                value: shorten(value),
                allowed,
            });
        }
    }
    Err(form_error(text))
}

/// Translates `07:00`, `weekdays 07:30` or `Mon,Thu 08:30` into a pattern; `None` when the text has another form.
fn pattern_of_words(text: &str) -> Option<String> {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let time = words.pop().filter(|word| word.contains(':'))?;
    let mut parts = time.split(':').map(|part| {
        let is_number = matches!(part.len(), 1..=2) && part.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| part.parse::<u8>().ok()).flatten()
    });
    let hour = parts.next()??;
    let minute = parts.next()??;
    let second = match parts.next() {
        Some(second) => second?,
        None => 0,
    };
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = match words.concat().to_lowercase().as_str() {
        "" | "daily" => "*".to_owned(),
        "weekdays" => "1-5".to_owned(),
        "weekends" => "6,0".to_owned(),
        days => weekdays(days)?,
    };
    Some(format!("{second} {minute} {hour} * * {days}"))
}

/// `mon,thu` or `sat-tue` as numbers for a pattern.
fn weekdays(text: &str) -> Option<String> {
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last) = (weekday(from)?, weekday(to)?);
        numbers.push(day.to_string());
        while day != last {
            day = (day + 1) % 7;
            numbers.push(day.to_string());
        }
    }
    Some(numbers.join(","))
}

/// The number of a weekday, Sunday being 0, from its English name or the first three letters of it.
fn weekday(name: &str) -> Option<u8> {
    let names = [
        "sunday",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
    ];
    (0..).zip(names).find_map(|(number, full)| {
        let name = name.strip_suffix('.').unwrap_or(name);
        (name == full || name == &full[..3]).then_some(number)
    })
}

fn form_error(text: &str) -> ScheduleError {
    ScheduleError::Form { text: shorten(text) }
}
