//! What is wrong with a configuration: every problem at once, each with its place and its mend.

use std::{cell::RefCell, fmt, sync::Arc};

/// Where in the configuration something stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file's rank in reading order: the main file is 0. Sorts problems.
    pub(super) rank: usize,
    /// The file as it was named or found.
    pub file: Arc<str>,
    /// The line, from 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// The key with its section, such as `mail.port`; empty where no key is meant.
    pub key: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        f.write_str(":")?;
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        Ok(())
    }
}

/// One thing that keeps the configuration from being used, or that deserves a warning.
///
/// Shown as `FILE:LINE: KEY: what; mend`. It never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub what: String,
    /// What to do about it; empty where `what` says it all.
    pub mend: String,
    /// For syntax errors the line and a caret below the column, where the line is free of secrets.
    pub excerpt: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.place, self.what)?;
        if !self.mend.is_empty() {
            write!(f, "; {}", self.mend)?;
        }
        if let Some(excerpt) = &self.excerpt {
            write!(f, "\n{excerpt}")?;
        }
        Ok(())
    }
}

/// Every problem of a configuration, in the order of its lines. Displayed as one line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// The first of them in one line, and how many there are besides.
    pub fn in_brief(&self) -> String {
        // The excerpt of the file that follows the first line is for a terminal.
        let first = self.0.first().map(ToString::to_string).unwrap_or_default();
        let first = first.lines().next().unwrap_or_default();
        match self.0.len() {
            0 | 1 => first.to_owned(),
            n => format!("{first} (and {} more)", n - 1),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// Collects problems and warnings while the sections are read.
#[derive(Debug, Default)]
pub(super) struct Sink {
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl Sink {
    pub(super) fn refuse(&self, place: &Place, what: impl Into<String>, mend: impl Into<String>) {
        self.push(Problem {
            place: place.clone(),
            what: what.into(),
            mend: mend.into(),
            excerpt: None,
        });
    }

    pub(super) fn push(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    pub(super) fn warn(&self, place: &Place, what: impl Into<String>, mend: impl Into<String>) {
        self.warnings.borrow_mut().push(Problem {
            place: place.clone(),
            what: what.into(),
            mend: mend.into(),
            excerpt: None,
        });
    }

    /// The problems, or when there are none the warnings; both in the order of the lines.
    pub(super) fn into_result(self) -> Result<Vec<Problem>, Problems> {
        let sorted = |mut list: Vec<Problem>| {
            list.sort_by(|a, b| a.place.cmp(&b.place).then_with(|| a.what.cmp(&b.what)));
            list.dedup();
            list
        };
        let problems = sorted(self.problems.into_inner());
        if problems.is_empty() {
            Ok(sorted(self.warnings.into_inner()))
        } else {
            Err(Problems(problems))
        }
    }
}

/// How much of a configured value a message shows.
const QUOTED_CHARS_MAX: usize = 60;

/// The value in double quotes, shortened, with everything escaped that could mislead a reader or a terminal.
pub(super) fn quote(text: &str) -> String {
    let shown: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    if shown.len() < text.len() {
        format!("{:?}", format!("{shown}…"))
    } else {
        format!("{shown:?}")
    }
}

/// `did you mean "x"?` when one of the candidates is close to the wrong word.
pub(super) fn did_you_mean(wrong: &str, candidates: &[&str]) -> Option<String> {
    nearest(wrong, candidates).map(|nearest| format!("did you mean {nearest:?}?"))
}

/// The candidate spelt most like the wrong word, if any is close.
pub(super) fn nearest<'c>(wrong: &str, candidates: &[&'c str]) -> Option<&'c str> {
    let wrong: String = wrong.chars().take(QUOTED_CHARS_MAX).collect::<String>().to_lowercase();
    let distance_max = (wrong.chars().count() / 3).clamp(1, 3);
    candidates
        .iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&wrong, &candidate.to_lowercase()),
                *candidate,
            )
        })
        .filter(|(distance, _)| *distance <= distance_max)
        .min()
        .map(|(_, candidate)| candidate)
}
