//! Runs as HTML: escaped, scripts and emphasis as elements, marked places wrapped, always well nested.

use std::ops::Range;

use super::{Run, Style, read};

/// The source as HTML: escaped, with `<sup>`, `<sub>`, `<em>`, and `<code>` round a formula that stays TeX.
///
/// `marks` are places in the source, in bytes, sorted and without overlap; each is wrapped in `open` and
/// `close`, which are written as they are. A mark that ends within an element is closed there and opened
/// again behind it. A mark that covers a part of a converted run covers all of it.
pub fn to_html(source: &str, marks: &[Range<usize>], (open, close): (&str, &str)) -> String {
    runs_to_html(source, &read(source), marks, (open, close))
}

/// The runs of this source as HTML; see [`to_html`].
pub fn runs_to_html(source: &str, runs: &[Run], marks: &[Range<usize>], (open, close): (&str, &str)) -> String {
    let mut writer = Writer {
        html: String::with_capacity(source.len() + 64),
        style: Style::Plain,
        mark: None,
        open,
        close,
    };
    let mut next_mark = 0;
    for run in runs {
        while marks.get(next_mark).is_some_and(|mark| mark.end <= run.source.start) {
            next_mark += 1;
        }
        let later_marks = marks.get(next_mark..).unwrap_or_default();
        if source.get(run.source.clone()) == Some(run.text.as_str()) {
            write_cut(&mut writer, run, next_mark, later_marks);
        } else {
            let hit = later_marks.first().is_some_and(|mark| touches(mark, &run.source));
            writer.write(&run.text, run.style, hit.then_some(next_mark));
        }
    }
    writer.finish()
}

/// Writes a run that repeats its source, cut where marks begin and end.
fn write_cut(writer: &mut Writer<'_>, run: &Run, first_mark: usize, marks: &[Range<usize>]) {
    let mut done = 0;
    for (index, mark) in marks.iter().enumerate() {
        if mark.start >= run.source.end {
            break;
        }
        let from = boundary(&run.text, mark.start.saturating_sub(run.source.start)).max(done);
        let to = boundary(&run.text, mark.end.saturating_sub(run.source.start)).max(from);
        writer.write(run.text.get(done..from).unwrap_or_default(), run.style, None);
        writer.write(
            run.text.get(from..to).unwrap_or_default(),
            run.style,
            Some(first_mark + index),
        );
        done = to;
    }
    writer.write(run.text.get(done..).unwrap_or_default(), run.style, None);
}

/// Whether the mark covers any of the run; of an empty run, whether it lies inside the mark.
fn touches(mark: &Range<usize>, run: &Range<usize>) -> bool {
    mark.start < run.end.max(run.start) && run.start < mark.end && !mark.is_empty()
}

/// The last character boundary at or before this byte.
fn boundary(text: &str, byte: usize) -> usize {
    text.floor_char_boundary(byte)
}

struct Writer<'t> {
    html: String,
    /// The style whose element is open.
    style: Style,
    /// The mark that is open.
    mark: Option<usize>,
    open: &'t str,
    close: &'t str,
}

impl Writer<'_> {
    fn write(&mut self, text: &str, style: Style, mark: Option<usize>) {
        if text.is_empty() {
            return;
        }
        if self.style != style || self.mark != mark {
            self.close_mark();
        }
        if self.style != style {
            self.close_style();
            self.html.push_str(tags(style).0);
            self.style = style;
        }
        if mark.is_some() && self.mark.is_none() {
            self.html.push_str(self.open);
        }
        self.mark = mark;
        for character in text.chars() {
            match character {
                '&' => self.html.push_str("&amp;"),
                '<' => self.html.push_str("&lt;"),
                '>' => self.html.push_str("&gt;"),
                '"' => self.html.push_str("&quot;"),
                '\'' => self.html.push_str("&#39;"),
                other => self.html.push(other),
            }
        }
    }

    fn close_mark(&mut self) {
        if self.mark.take().is_some() {
            self.html.push_str(self.close);
        }
    }

    fn close_style(&mut self) {
        self.html.push_str(tags(self.style).1);
        self.style = Style::Plain;
    }

    fn finish(mut self) -> String {
        self.close_mark();
        self.close_style();
        self.html
    }
}

fn tags(style: Style) -> (&'static str, &'static str) {
    match style {
        Style::Plain => ("", ""),
        Style::Superscript => ("<sup>", "</sup>"),
        Style::Subscript => ("<sub>", "</sub>"),
        Style::Emphasis => ("<em>", "</em>"),
        Style::Tex => ("<code>", "</code>"),
    }
}
