//! The Daily Papers page.

use std::fmt::Write as _;

use super::{FormerPage, Page, Section, date, pdf, readable};
use crate::{model::Paper, render::line};

/// A longer comment is folded.
const COMMENT_CHARS_MAX: usize = 20;
/// What is seen of a folded comment, in characters.
const COMMENT_CHARS_SEEN: usize = 5;

const INTRODUCTION: &str = "\
# Daily Papers

New papers on arXiv, one table per keyword. The page is rewritten by [Paperround](https://crates.io/crates/paperround) \
after each of its runs.

Every table begins with the most recent paper and holds at most 100 of them; the date is that of the version shown.
";

const TABLE_HEAD: &str = "| **Title** | **Date** | **Abstract** | **Comment** |\n| --- | --- | --- | --- |\n";

/// The page; a section that is incomplete stays as it was in the former page.
pub(super) fn write(page: &Page, former: &FormerPage) -> String {
    let mut text = format!("{INTRODUCTION}\nLast update: {}\n", page.updated.format("%F"));
    for section in &page.sections {
        let head = heading(&section.keyword);
        text.push('\n');
        match former.text_of(&head).filter(|_| section.is_incomplete) {
            Some(as_it_was) => text.push_str(as_it_was),
            None => write_section(&mut text, &head, section),
        }
    }
    text
}

fn heading(keyword: &str) -> String {
    format!("## {}", escaped(&line(keyword)).replace('#', "\\#"))
}

fn write_section(text: &mut String, head: &str, section: &Section) {
    // Writing to a string cannot fail.
    let _infallible = writeln!(text, "{head}");
    text.push_str(TABLE_HEAD);
    for paper in &section.papers {
        write_row(text, paper);
    }
}

fn write_row(text: &mut String, paper: &Paper) {
    let date = date(paper).map_or_else(String::new, |date| date.to_string());
    let _infallible = writeln!(
        text,
        "| **[{}]({})** | {date} | {} | {} |",
        escaped(&readable(&paper.title)),
        pdf(paper),
        folded("Show", &escaped(&readable(&paper.abstract_text))),
        comment(&readable(paper.comment.as_deref().unwrap_or_default())),
    );
}

fn comment(comment: &str) -> String {
    if comment.chars().count() <= COMMENT_CHARS_MAX {
        return escaped(comment);
    }
    let seen: String = comment.chars().take(COMMENT_CHARS_SEEN).collect();
    folded(&format!("{}...", escaped(&seen)), &escaped(comment))
}

fn folded(summary: &str, text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!("<details><summary>{summary}</summary><p>{text}</p></details>")
}

/// Text that stays text in a cell of a table, also between HTML tags: what would end the cell or begin markup is
/// written as an entity or behind a backslash. Addresses stay as they are but for what would end them.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for (index, word) in text.split(' ').enumerate() {
        if index > 0 {
            out.push(' ');
        }
        let address_at = ["https://", "http://"]
            .iter()
            .filter_map(|scheme| word.find(scheme))
            .min();
        let (words, address) = word.split_at(address_at.unwrap_or(word.len()));
        escape_into(&mut out, words, false);
        escape_into(&mut out, address, true);
    }
    out
}

fn escape_into(out: &mut String, text: &str, is_address: bool) {
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let after = chars.peek().copied().unwrap_or(' ');
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '|' => out.push_str("&#124;"),
            '\\' | '`' | '*' | '[' | ']' | '$' if is_address => {
                // The address ends here, for whoever makes a link of it.
                let _infallible = write!(out, "&#{};", u32::from(c));
            }
            '~' if is_address => out.push(c),
            '\\' | '`' | '*' | '[' | ']' | '$' | '~' => out.extend(['\\', c]),
            // Inside a word an underscore is no markup.
            '_' if !(is_address || before.is_alphanumeric() && after.is_alphanumeric()) => out.push_str("\\_"),
            _ => out.push(c),
        }
        before = c;
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;
    use crate::{
        export::{
            Format,
            tests::{at, numbered},
        },
        matching::fixture::{SHARED, paper},
    };

    /// One row as a reader sees it.
    #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
    struct Row {
        date: String,
        title: String,
        address: String,
        abstract_text: String,
        comment: String,
        seen: String,
    }

    /// Reads a page as GitHub does as far as it matters here: a cell ends at a bar.
    fn tables(page: &str) -> Vec<(String, Vec<Row>)> {
        let mut tables: Vec<(String, Vec<Row>)> = Vec::new();
        for text in page.lines() {
            if let Some(heading) = text.strip_prefix("## ") {
                tables.push((unescaped(heading), Vec::new()));
            } else if text.starts_with("| **[") {
                tables.last_mut().unwrap().1.push(row(text));
            }
        }
        tables
    }

    fn row(text: &str) -> Row {
        let cells: Vec<&str> = text.split('|').collect();
        assert_eq!(cells.len(), 6, "a row has four cells: {text}");
        let title = cells[1]
            .trim()
            .strip_prefix("**[")
            .unwrap()
            .strip_suffix(")**")
            .unwrap();
        let (title, address) = title.rsplit_once("](").unwrap();
        let (_, abstract_text) = unfolded(cells[3].trim());
        let (seen, comment) = unfolded(cells[4].trim());
        Row {
            date: cells[2].trim().to_owned(),
            title: unescaped(title),
            address: address.to_owned(),
            abstract_text: unescaped(abstract_text),
            comment: unescaped(comment),
            seen: unescaped(seen),
        }
    }

    fn unfolded(cell: &str) -> (&str, &str) {
        match cell.strip_prefix("<details><summary>") {
            Some(rest) => {
                let (summary, rest) = rest.split_once("</summary><p>").unwrap();
                (summary, rest.strip_suffix("</p></details>").unwrap())
            }
            None => (cell, cell),
        }
    }

    fn unescaped(text: &str) -> String {
        let mut plain = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match chars.peek() {
                Some(next) if c == '\\' && next.is_ascii_punctuation() => plain.extend(chars.next()),
                _ => plain.push(c),
            }
        }
        for (entity, c) in [
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&#124;", "|"),
            ("&#92;", "\\"),
            ("&#96;", "`"),
        ] {
            plain = plain.replace(entity, c);
        }
        for (entity, c) in [
            ("&#42;", "*"),
            ("&#91;", "["),
            ("&#93;", "]"),
            ("&#36;", "$"),
            ("&amp;", "&"),
        ] {
            plain = plain.replace(entity, c);
        }
        plain
    }

    /// The page holds neither authors nor categories nor the day of the first version: those are invented here.
    fn as_paper(cells: &[&str]) -> Paper {
        let title = cells[1]
            .trim()
            .strip_prefix("**[")
            .unwrap()
            .strip_suffix(")**")
            .unwrap();
        let (title, address) = title.rsplit_once("](").unwrap();
        let (id, version) = crate::model::VersionedId::parse(address.split_once("/pdf/").unwrap().1).unwrap();
        let day: chrono::NaiveDate = cells[2].trim().parse().unwrap();
        let comment = unfolded(cells[4].trim()).1;
        Paper {
            id,
            version: version.unwrap(),
            updated: Some(day.and_hms_opt(12, 0, 0).unwrap().and_utc()),
            comment: (!comment.is_empty()).then(|| comment.to_owned()),
            ..paper(title, unfolded(cells[3].trim()).1)
        }
    }

    #[test]
    fn the_rows_of_the_origins_page_come_back_as_they_were() {
        let Ok(origin) = fs::read_to_string(format!("{SHARED}/seed/daily-papers.md")) else {
            println!("skipped: ../shared is absent");
            return;
        };
        let mut page = Page {
            updated: at(9),
            sections: Vec::new(),
        };
        let mut n_read = 0;
        let mut expected: Vec<(String, BTreeSet<Row>)> = Vec::new();
        for text in origin.lines() {
            if let Some(heading) = text.strip_prefix("## ") {
                page.sections.push(Section {
                    keyword: heading.to_owned(),
                    papers: Vec::new(),
                    is_incomplete: false,
                });
                expected.push((heading.to_owned(), BTreeSet::new()));
            } else if text.starts_with("| **[") {
                let cells: Vec<&str> = text.split('|').collect();
                assert_eq!(cells.len(), 6, "{text}");
                let paper = as_paper(&cells);
                page.sections.last_mut().unwrap().papers.push(paper);
                let comment = readable(unfolded(cells[4].trim()).1);
                expected.last_mut().unwrap().1.insert(Row {
                    date: cells[2].trim().to_owned(),
                    title: readable(cells[1].trim()[3..].rsplit_once("](").unwrap().0),
                    address: cells[1]
                        .trim()
                        .rsplit_once("](")
                        .unwrap()
                        .1
                        .trim_end_matches(")**")
                        .to_owned(),
                    abstract_text: readable(unfolded(cells[3].trim()).1),
                    seen: if comment.chars().count() > 20 {
                        comment.chars().take(5).collect::<String>() + "..."
                    } else {
                        comment.clone()
                    },
                    comment,
                });
                n_read += 1;
            }
        }
        page.sections.iter_mut().for_each(Section::keep_newest);
        let written = tables(&super::super::write(&page, Format::Markdown));
        for ((heading, rows), (expected_heading, expected_rows)) in written.iter().zip(&expected) {
            assert_eq!(heading, expected_heading);
            assert_eq!(
                rows.iter().cloned().collect::<BTreeSet<_>>(),
                *expected_rows,
                "{heading}"
            );
            assert!(rows.is_sorted_by(|a, b| a.date >= b.date), "{heading}");
        }
        assert_eq!((written.len(), n_read), (expected.len(), 311));
    }

    #[test]
    fn nothing_breaks_a_row() {
        let check = |text: &str, expected: &str| {
            assert_eq!(escaped(text), expected);
            assert_eq!(unescaped(expected), text);
        };
        check(
            "p(x|y) <b> & **c** `d`",
            "p(x&#124;y) &lt;b&gt; &amp; \\*\\*c\\*\\* \\`d\\`",
        );
        check(
            "[link](x) $5 ~a~ snake_case _b_ c:\\d",
            "\\[link\\](x) \\$5 \\~a\\~ snake_case \\_b\\_ c:\\\\d",
        );
        check(
            "(https://example.org/~a_b_/x|y*)",
            "(https://example.org/~a_b_/x&#124;y&#42;)",
        );
        let hostile = Paper {
            comment: Some("</p></details> | x\n\n## y".to_owned()),
            abstract_text: "One\n| --- |\n\u{2028}two".to_owned(),
            ..numbered(1, "A | B\n## C")
        };
        let page = Page {
            updated: at(2),
            sections: vec![Section {
                keyword: "C# | F#".to_owned(),
                papers: vec![hostile],
                is_incomplete: false,
            }],
        };
        let read = tables(&super::super::write(&page, Format::Markdown));
        assert_eq!((read.len(), read[0].0.as_str(), read[0].1.len()), (1, "C# | F#", 1));
        assert_eq!(read[0].1[0].comment, "</p></details> | x ## y");
        assert_eq!(read[0].1[0].abstract_text, "One | — | two");
    }
}
