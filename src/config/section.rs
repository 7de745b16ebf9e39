//! Reading one table key by key: what was asked for is known, everything else is a mistake.

use std::{cell::RefCell, collections::BTreeMap, ops::RangeInclusive, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    problems::{Place, Sink, did_you_mean, nearest, quote},
    source::Source,
    units,
};

/// One table of a file, or an absent one of which every key has its default.
pub(super) struct Section<'a> {
    reader: Reader<'a>,
    /// `mail` or `mail.dkim`; empty for the top of the file.
    path: String,
    /// Where the table's header stands.
    place: Place,
    table: Option<&'a DeTable<'a>>,
    asked: RefCell<Vec<&'static str>>,
}

/// What all sections of one file share.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) source: &'a Source,
    /// The offset in the source from which the parsed text counts.
    pub(super) base: usize,
    pub(super) sink: &'a Sink,
    /// The effective settings by key, for `check` and for telling a reload's changes; `None` while lists are read.
    pub(super) settings: Option<&'a RefCell<BTreeMap<String, String>>>,
}

impl Reader<'_> {
    fn place(&self, offset: usize, key: impl Into<String>) -> Place {
        self.source.place(self.base + offset, key)
    }
}

/// One configured value and where it stands.
#[derive(Clone)]
pub(super) struct Entry<'a> {
    reader: Reader<'a>,
    pub(super) place: Place,
    value: &'a DeValue<'a>,
}

impl<'a> Section<'a> {
    /// The top of the file.
    pub(super) fn root(reader: Reader<'a>, table: &'a DeTable<'a>) -> Self {
        Self {
            reader,
            path: String::new(),
            place: reader.place(0, ""),
            table: Some(table),
            asked: RefCell::default(),
        }
    }

    /// The place of the section's header, for what is missing in it.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The place at which a key that is not there would stand.
    pub(super) fn place_of(&self, key: &str) -> Place {
        Place {
            key: self.full(key),
            ..self.place.clone()
        }
    }

    /// Where problems go.
    pub(super) fn sink(&self) -> &'a Sink {
        self.reader.sink
    }

    /// The file that it stands in.
    pub(super) fn source(&self) -> &'a Source {
        self.reader.source
    }

    /// Whether the file has this table.
    pub(super) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// The value of a key, if it is configured.
    pub(super) fn get(&self, key: &'static str) -> Option<Entry<'a>> {
        self.asked.borrow_mut().push(key);
        let (name, value) = self.table?.get_key_value(key)?;
        Some(self.entry(name.span().start, key, value))
    }

    fn entry(&self, offset: usize, key: &str, value: &'a Spanned<DeValue<'a>>) -> Entry<'a> {
        Entry {
            reader: self.reader,
            place: self.reader.place(offset, self.full(key)),
            value: value.get_ref(),
        }
    }

    /// The table `[name]` below this one.
    pub(super) fn section(&self, name: &'static str) -> Section<'a> {
        let entry = self.get(name);
        let mut section = Section {
            reader: self.reader,
            path: self.full(name),
            place: self.place_of(name),
            table: None,
            asked: RefCell::default(),
        };
        let Some(entry) = entry else {
            return section;
        };
        section.place = entry.place.clone();
        match entry.value {
            DeValue::Table(table) => section.table = Some(table),
            DeValue::Array(_) => {
                let what = format!("[[{}]] has two brackets", section.path);
                entry.refuse(what, format!("there is one such section: write [{}]", section.path));
            }
            _ => entry.refuse_type(&format!("a section: write [{}] on a line of its own", section.path)),
        }
        section
    }

    /// The tables `[[name]]`, in order. What they set is not among the settings.
    pub(super) fn tables(&self, name: &'static str) -> Vec<Section<'a>> {
        let Some(entry) = self.get(name) else {
            return Vec::new();
        };
        let path = self.full(name);
        let reader = Reader {
            settings: None,
            ..self.reader
        };
        match entry.value {
            DeValue::Array(array) => array
                .iter()
                .filter_map(|element| {
                    let element_entry = self.entry(element.span().start, name, element);
                    let DeValue::Table(table) = element.get_ref() else {
                        element_entry.refuse_type(&format!("a table: write [[{path}]] on a line of its own"));
                        return None;
                    };
                    Some(Section {
                        reader,
                        path: path.clone(),
                        place: element_entry.place,
                        table: Some(table),
                        asked: RefCell::default(),
                    })
                })
                .collect(),
            DeValue::Table(_) => {
                entry.refuse(
                    format!("[{path}] has one bracket"),
                    format!("write [[{path}]] with two, once for each"),
                );
                Vec::new()
            }
            _ => {
                entry.refuse_type(&format!("a table: write [[{path}]] on a line of its own"));
                Vec::new()
            }
        }
    }

    /// A text.
    pub(super) fn string(&self, key: &'static str) -> Option<String> {
        let value = self.get(key).and_then(|entry| entry.string());
        self.note(key, value.as_deref().map(quote));
        value
    }

    /// A truth value.
    pub(super) fn bool(&self, key: &'static str, default: bool) -> bool {
        let value = self.get(key).and_then(|entry| entry.bool()).unwrap_or(default);
        self.note(key, Some(value.to_string()));
        value
    }

    /// A whole number within limits.
    pub(super) fn number(&self, key: &'static str, default: u32, allowed: RangeInclusive<u32>) -> u32 {
        let value = self
            .get(key)
            .and_then(|entry| entry.number(&allowed))
            .unwrap_or(default);
        self.note(key, Some(value.to_string()));
        value
    }

    /// A duration within limits.
    pub(super) fn duration(&self, key: &'static str, default: Duration, allowed: RangeInclusive<Duration>) -> Duration {
        let value = self
            .get(key)
            .and_then(|entry| entry.duration(&allowed))
            .unwrap_or(default);
        self.note(key, Some(units::show_duration(value)));
        value
    }

    /// A number of bytes within limits.
    pub(super) fn size(&self, key: &'static str, default: u64, allowed: RangeInclusive<u64>) -> u64 {
        let value = self.get(key).and_then(|entry| entry.size(&allowed)).unwrap_or(default);
        self.note(key, Some(units::show_size(value)));
        value
    }

    /// One of several words.
    pub(super) fn choice<T: Copy + PartialEq>(
        &self,
        key: &'static str,
        default: T,
        options: &[(&'static str, T)],
    ) -> T {
        let value = self.get(key).and_then(|entry| entry.choice(options)).unwrap_or(default);
        let shown = options.iter().find(|(_, option)| *option == value);
        self.note(key, shown.map(|(word, _)| quote(word)));
        value
    }

    /// A list of texts, each with its place; one text alone counts as a list of one. `None` when not configured.
    pub(super) fn strings(&self, key: &'static str) -> Option<Vec<(String, Place)>> {
        let values = self.get(key).map(|entry| entry.strings());
        let shown = values.as_ref().map(|values| {
            let words: Vec<String> = values.iter().map(|(text, _)| quote(text)).collect();
            format!("[{}]", words.join(", "))
        });
        self.note(key, shown);
        values
    }

    /// Counts a key as known that is read elsewhere.
    pub(super) fn ask(&self, key: &'static str) {
        self.asked.borrow_mut().push(key);
    }

    /// Records the effective value of a key, as it may be shown to the operator.
    pub(super) fn note(&self, key: &str, shown: Option<String>) {
        if let Some(settings) = self.reader.settings {
            let shown = shown.unwrap_or_else(|| "(none)".to_owned());
            settings.borrow_mut().insert(self.full(key), shown);
        }
    }

    /// Refuses every key that was not asked for, with the nearest one that is.
    ///
    /// `hint` may explain a key that people bring from elsewhere.
    pub(super) fn finish(self, hint: impl Fn(&str) -> Option<String>) {
        let asked = self.asked.borrow();
        for (name, value) in self.table.into_iter().flatten() {
            let key = name.get_ref().as_ref();
            if asked.contains(&key) {
                continue;
            }
            let mut entry = self.entry(name.span().start, key, value);
            entry.place.key = self.full(&key.chars().filter(|c| !c.is_control()).take(60).collect::<String>());
            let mend = hint(key)
                .or_else(|| did_you_mean(key, &asked))
                .or_else(|| elsewhere(key, &self.path))
                .unwrap_or_else(|| {
                    let mut known = asked.clone();
                    known.sort_unstable();
                    known.dedup();
                    format!("known here: {}", known.join(", "))
                });
            entry.refuse("there is no such key", mend);
        }
    }

    fn full(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

/// Keys of the top of the file, which people put below a section's header by mistake.
const TOP_KEYS: [&str; 5] = ["schedule", "timezone", "state_dir", "keywords", "include"];

fn elsewhere(key: &str, path: &str) -> Option<String> {
    (!path.is_empty() && nearest(key, &TOP_KEYS) == Some(key))
        .then(|| format!("{key} belongs to the top of the file, before the first [section]"))
}

impl<'a> Entry<'a> {
    /// Reports a problem with this value.
    pub(super) fn refuse(&self, what: impl Into<String>, mend: impl Into<String>) {
        self.reader.sink.refuse(&self.place, what, mend);
    }

    /// Reports that the value has another type; the value itself is never shown, for it may be a secret.
    pub(super) fn refuse_type(&self, expected: &str) {
        let found = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.refuse(format!("is {found}"), format!("expected {expected}"));
    }

    /// The value as a TOML date or time, if it is one.
    pub(super) fn datetime(&self) -> Option<toml::value::Datetime> {
        match self.value {
            DeValue::Datetime(datetime) => Some(*datetime),
            DeValue::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    pub(super) fn string(&self) -> Option<String> {
        let DeValue::String(text) = self.value else {
            self.refuse_type("a string in quotes");
            return None;
        };
        Some(text.as_ref().to_owned())
    }

    pub(super) fn bool(&self) -> Option<bool> {
        let DeValue::Boolean(value) = self.value else {
            self.refuse_type("true or false, without quotes");
            return None;
        };
        Some(*value)
    }

    pub(super) fn number(&self, allowed: &RangeInclusive<u32>) -> Option<u32> {
        let DeValue::Integer(integer) = self.value else {
            self.refuse_type("a whole number, without quotes");
            return None;
        };
        let value = u32::from_str_radix(integer.as_str(), integer.radix()).ok();
        let value = value.filter(|value| allowed.contains(value));
        if value.is_none() {
            self.refuse_range(&integer.to_string(), allowed.start(), allowed.end());
        }
        value
    }

    pub(super) fn duration(&self, allowed: &RangeInclusive<Duration>) -> Option<Duration> {
        let text = match self.value {
            DeValue::String(text) => text.trim(),
            DeValue::Integer(integer) => {
                let what = format!("{} has no unit", quote(&integer.to_string()));
                let mend = format!(
                    "write a string such as {}",
                    quote(&units::show_duration(*allowed.start()))
                );
                self.refuse(what, mend);
                return None;
            }
            _ => {
                self.refuse_type("a duration such as \"30s\", \"20m\" or \"45d\"");
                return None;
            }
        };
        let (from, to) = (
            units::show_duration(*allowed.start()),
            units::show_duration(*allowed.end()),
        );
        if text.starts_with('-') {
            self.refuse_range(&quote(text), from, to);
            return None;
        }
        let Ok(value) = humantime::parse_duration(text) else {
            let what = format!("{} is not a duration", quote(text));
            self.refuse(
                what,
                "write a number with s, m, h or d, such as \"30s\", \"20m\" or \"45d\"",
            );
            return None;
        };
        if !allowed.contains(&value) {
            self.refuse_range(&quote(text), from, to);
            return None;
        }
        Some(value)
    }

    pub(super) fn size(&self, allowed: &RangeInclusive<u64>) -> Option<u64> {
        let (value, shown) = match self.value {
            DeValue::String(text) if text.trim_start().starts_with('-') => (None, quote(text)),
            DeValue::String(text) => match units::parse_size(text) {
                Some(size) => (Some(size), quote(text)),
                None => {
                    let what = format!("{} is not a size", quote(text));
                    self.refuse(what, "write bytes with a unit, such as \"90kB\" or \"64MiB\"");
                    return None;
                }
            },
            DeValue::Integer(integer) => (
                u64::from_str_radix(integer.as_str(), integer.radix()).ok(),
                integer.to_string(),
            ),
            _ => {
                self.refuse_type("a size such as \"90kB\" or \"64MiB\"");
                return None;
            }
        };
        let value = value.filter(|value| allowed.contains(value));
        if value.is_none() {
            let (from, to) = (units::show_size(*allowed.start()), units::show_size(*allowed.end()));
            self.refuse_range(&shown, from, to);
        }
        value
    }

    pub(super) fn choice<T: Copy>(&self, options: &[(&'static str, T)]) -> Option<T> {
        let text = self.string()?;
        let found = options.iter().find(|(word, _)| *word == text.trim());
        if found.is_none() {
            let words: Vec<&str> = options.iter().map(|(word, _)| *word).collect();
            let allowed = format!("allowed: {}", words.join(", "));
            let mend = did_you_mean(&text, &words).map_or(allowed.clone(), |hint| format!("{hint} ({allowed})"));
            self.refuse(format!("{} is not known", quote(&text)), mend);
        }
        found.map(|(_, value)| *value)
    }

    pub(super) fn strings(&self) -> Vec<(String, Place)> {
        match self.value {
            DeValue::String(text) => vec![(text.as_ref().to_owned(), self.place.clone())],
            DeValue::Array(array) => array
                .iter()
                .filter_map(|element| {
                    let element = Entry {
                        reader: self.reader,
                        place: self.reader.place(element.span().start, self.place.key.clone()),
                        value: element.get_ref(),
                    };
                    element.string().map(|text| (text, element.place))
                })
                .collect(),
            _ => {
                self.refuse_type("a list of strings such as [\"one\", \"two\"]");
                Vec::new()
            }
        }
    }

    /// The tables of an inline list, each as a section of its own.
    pub(super) fn inline_tables(&self) -> Vec<Section<'a>> {
        let DeValue::Array(array) = self.value else {
            self.refuse_type("a list of tables in braces");
            return Vec::new();
        };
        array
            .iter()
            .filter_map(|element| {
                let element_entry = Entry {
                    place: self.reader.place(element.span().start, self.place.key.clone()),
                    value: element.get_ref(),
                    reader: Reader {
                        settings: None,
                        ..self.reader
                    },
                };
                let DeValue::Table(table) = element.get_ref() else {
                    element_entry.refuse_type("a table in braces");
                    return None;
                };
                Some(Section {
                    reader: element_entry.reader,
                    path: self.place.key.clone(),
                    place: element_entry.place,
                    table: Some(table),
                    asked: RefCell::default(),
                })
            })
            .collect()
    }

    /// How many elements a list has; `None` when the value is no list.
    pub(super) fn strings_len(&self) -> Option<usize> {
        match self.value {
            DeValue::Array(array) => Some(array.len()),
            _ => None,
        }
    }

    fn refuse_range(&self, shown: &str, from: impl std::fmt::Display, to: impl std::fmt::Display) {
        self.refuse(format!("{shown} is out of range"), format!("allowed: {from} to {to}"));
    }
}
