//! One configuration file: its text, its encoding, and syntax errors that quote no secret.

use std::{fs, io::Read, ops::Range, path::Path, sync::Arc};

use toml::de::DeTable;

use super::{
    cut,
    problems::{Place, Problem, Sink, nearest},
};

/// The largest file that is read, in bytes: some 100,000 subscribers.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The byte order mark that Windows editors put first.
const BOM: char = '\u{feff}';

/// The text of one file.
#[derive(Debug)]
pub(super) struct Source {
    rank: usize,
    file: Arc<str>,
    pub(super) text: String,
    /// The offset at which each line begins.
    line_starts: Vec<usize>,
    /// Where the `[[subscriber]]` tables stand.
    pub(super) subscribers: Vec<Range<usize>>,
    /// The text without them.
    rest: String,
}

impl Source {
    /// Reads the file; a problem goes to the sink and gives `None`.
    pub(super) fn read(path: &Path, rank: usize, sink: &Sink) -> Option<Self> {
        let file: Arc<str> = path.display().to_string().into();
        let whole = Place {
            rank,
            file: file.clone(),
            line: 0,
            key: String::new(),
        };
        let mut bytes = Vec::new();
        let read = fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
        if let Err(error) = read {
            sink.refuse(
                &whole,
                format!("cannot be read ({error})"),
                "check the path and its permissions",
            );
            return None;
        }
        if bytes.len() as u64 > FILE_BYTES_MAX {
            sink.refuse(&whole, "is larger than 16 MiB", "name the configuration file");
            return None;
        }
        match decode(bytes) {
            Ok(text) => Some(Self::new(file, rank, text)),
            Err((line, what)) => {
                sink.refuse(&Place { line, ..whole }, what, "save the file as UTF-8");
                None
            }
        }
    }

    fn new(file: Arc<str>, rank: usize, text: String) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(newlines.map(|(i, _)| i + 1)).collect();
        let subscribers = cut::subscriber_tables(&text);
        Self {
            rank,
            file,
            rest: cut::without(&text, &subscribers),
            text,
            line_starts,
            subscribers,
        }
    }

    /// The line of that offset, from 1.
    fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// The place of that offset under that key.
    pub(super) fn place(&self, offset: usize, key: impl Into<String>) -> Place {
        Place {
            rank: self.rank,
            file: self.file.clone(),
            line: self.line(offset),
            key: key.into(),
        }
    }

    /// The file as a whole.
    pub(super) fn place_of_file(&self) -> Place {
        Place {
            line: 0,
            ..self.place(0, "")
        }
    }

    /// The parsed file without its `[[subscriber]]` tables; the first syntax error goes to the sink and gives `None`.
    pub(super) fn parse(&self, sink: &Sink) -> Option<DeTable<'_>> {
        self.parse_text(&self.rest, 0, sink)
    }

    /// One of [`Source::subscribers`], parsed, with offsets that count from its beginning.
    pub(super) fn parse_subscriber(&self, range: &Range<usize>, sink: &Sink) -> Option<DeTable<'_>> {
        self.parse_text(self.text.get(range.clone())?, range.start, sink)
    }

    fn parse_text<'t>(&self, text: &'t str, base: usize, sink: &Sink) -> Option<DeTable<'t>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let first = errors
            .into_iter()
            .min_by_key(|error| error.span().map_or(usize::MAX, |span| span.start));
        match first {
            None => Some(table.into_inner()),
            Some(error) => {
                sink.push(self.syntax_problem(&error, base));
                None
            }
        }
    }

    /// The string of a key that stands on a line of its own, whatever the other lines are.
    pub(super) fn string_alone(&self, key: &str) -> Option<String> {
        let mut lines = self.text.lines().filter(|line| line.trim_start().starts_with(key));
        lines.find_map(|line| {
            let table = DeTable::parse(line).ok()?.into_inner();
            table.get(key)?.get_ref().as_str().map(str::to_owned)
        })
    }

    fn syntax_problem(&self, error: &toml::de::Error, base: usize) -> Problem {
        let offset = error.span().map_or(self.text.len(), |span| base + span.start);
        let place = self.place(offset, "");
        let start = self.line_starts.get(place.line.saturating_sub(1)).copied().unwrap_or(0);
        let line = self.text[start..].lines().next().unwrap_or_default();
        if line.contains(BOM) {
            return Problem {
                place,
                what: "a byte order mark (U+FEFF) stands in the middle of the file".to_owned(),
                mend: "delete it; it is left when files are joined".to_owned(),
                excerpt: None,
            };
        }
        // What follows on the line may be anything, a secret too.
        let header = line.trim_start().trim_start_matches('[').split(']').next();
        let header = header.unwrap_or_default().trim();
        let is_table_header = line.trim_start().starts_with('[')
            && !line.trim_start().starts_with("[[")
            && !header.contains(char::is_control);
        if error.message().starts_with("duplicate key") && is_table_header {
            let is_list = ["subscriber", "group", "keyword"].contains(&header);
            let mend = if is_list {
                format!("write [[{header}]] with two brackets, once for each")
            } else {
                "join the two sections".to_owned()
            };
            return Problem {
                place,
                what: format!("[{header}] stands here a second time"),
                mend,
                excerpt: None,
            };
        }
        let column = self
            .text
            .get(start..offset)
            .map_or(1, |before| before.chars().count() + 1);
        let excerpt = (!self.may_hold_secret(start, line)).then(|| excerpt(line, column));
        // The parser's own words name expectations only, never the text that it read.
        Problem {
            place,
            what: format!("column {column}: this is not TOML ({})", error.message()),
            mend: "mend this line or the one before".to_owned(),
            excerpt,
        }
    }

    /// Whether the line that begins at `start` may show a secret, be it in the middle of one that spans lines.
    fn may_hold_secret(&self, start: usize, line: &str) -> bool {
        if mentions_secret(line) {
            return true;
        }
        // A secret that was begun above is over when the file parses up to the end of its line.
        let mut offset = 0;
        let mut secret_end = None;
        for above in self.text[..start].split_inclusive('\n') {
            offset += above.len();
            if mentions_secret(above) && !above.trim_start().starts_with('#') {
                secret_end = Some(offset);
            }
        }
        secret_end.is_some_and(|end| DeTable::parse(&self.text[..end]).is_err())
    }
}

/// Whether the line sets a password, however it is spelt, or an address that may hold one.
fn mentions_secret(line: &str) -> bool {
    let lower = line.to_lowercase();
    let key = lower.split('=').next().unwrap_or_default();
    let name = key
        .rsplit('.')
        .next()
        .unwrap_or_default()
        .trim()
        .trim_matches(['"', '\'']);
    ["pas", "pw", "://", "secret", "token"]
        .iter()
        .any(|word| lower.contains(word))
        || nearest(name, &["password"]).is_some()
}

/// How much of a line a syntax error shows.
const EXCERPT_CHARS_MAX: usize = 100;

/// The line and a caret below the column (from 1), both indented.
fn excerpt(line: &str, column: usize) -> String {
    let shown: String = line
        .chars()
        .take(EXCERPT_CHARS_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let indent = " ".repeat(column.saturating_sub(1).min(EXCERPT_CHARS_MAX));
    format!("    {shown}\n    {indent}^")
}

/// The bytes as text without a leading byte order mark, or the line and what is wrong with them.
fn decode(bytes: Vec<u8>) -> Result<String, (usize, &'static str)> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err((0, "is UTF-16"));
    }
    if bytes.contains(&0) {
        return Err((0, "holds NUL bytes, as UTF-16 without a mark does"));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        (
            valid.iter().filter(|byte| **byte == b'\n').count() + 1,
            "is not UTF-8 here",
        )
    })?;
    if text.starts_with(BOM) {
        text.drain(..BOM.len_utf8());
    }
    Ok(text)
}
