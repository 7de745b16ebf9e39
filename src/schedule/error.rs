//! Why a schedule cannot be used, in words that say what to write instead.

/// Why a schedule cannot be used, with the way to write it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The text has neither the form of a cron pattern nor that of days and a time.
    #[error(
        "{text:?} is not a schedule; write five fields (minute hour day month weekday) such as \"0 7 * * *\", \
         or days and a time such as \"07:00\", \"weekdays 07:30\" or \"Mon,Thu 08:30\""
    )]
    Form {
        /// The text, shortened.
        text: String,
    },
    /// One field of the pattern cannot be read.
    #[error("the {field} field {value:?} of {text:?} is not valid; it takes {allowed}")]
    Field {
        /// The text, shortened.
        text: String,
        /// Which field.
        field: &'static str,
        /// The field's text.
        value: String,
        /// What it may hold.
        allowed: &'static str,
    },
    /// The pattern names no day that exists.
    #[error("{text:?} never comes: no date fits its day, month and weekday; change one of them")]
    NeverFires {
        /// The text, shortened.
        text: String,
    },
    /// The zone is not in the IANA database.
    #[error("{zone:?} is not a time zone{}", suggest(.nearest))]
    Zone {
        /// The name, shortened.
        zone: String,
        /// The names closest to it, best first.
        nearest: Vec<&'static str>,
    },
}

fn suggest(nearest: &[&'static str]) -> String {
    if nearest.is_empty() {
        "; use an IANA name such as \"Europe/Berlin\" or \"UTC\"".to_owned()
    } else {
        let names: Vec<String> = nearest.iter().map(|name| format!("{name:?}")).collect();
        format!("; did you mean {}?", names.join(", "))
    }
}

/// A text as messages quote it.
pub(super) fn shorten(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    text.trim().chars().take(SHOWN_CHARS_MAX).collect()
}
