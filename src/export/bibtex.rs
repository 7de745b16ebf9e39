//! References for BibTeX and biblatex.

use std::fmt::Write as _;

use chrono::Datelike as _;

use super::{Page, abstract_page};
use crate::{
    model::Paper,
    render::{doi, line},
};

pub(super) fn write(page: &Page) -> String {
    let entries: Vec<String> = page.papers().iter().map(|(paper, _)| entry(paper)).collect();
    entries.join("\n")
}

fn entry(paper: &Paper) -> String {
    let id = paper.id.to_string();
    // Neither a comma nor a slash may stand in a key everywhere.
    let mut text = format!("@misc{{arxiv:{},\n", id.replace('/', "-"));
    let mut field = |name: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a string cannot fail.
            let _infallible = writeln!(text, "  {name:<13} = {{{value}}},");
        }
    };
    let authors: Vec<String> = paper.authors.iter().map(|author| name(&author.name)).collect();
    field("author", &authors.join(" and "));
    // The inner braces keep the capitals.
    field("title", &format!("{{{}}}", value(&paper.title)));
    if let Some(at) = paper.submitted.or(paper.updated) {
        field("year", &at.year().to_string());
        field("month", &at.month().to_string());
    }
    field("eprint", &id);
    field("archiveprefix", "arXiv");
    field("primaryclass", &value(paper.primary_category().unwrap_or_default()));
    if let Some(address) = paper.doi.as_deref().and_then(doi) {
        field("doi", address.trim_start_matches("https://doi.org/"));
    }
    field("url", &abstract_page(paper));
    field("note", &value(paper.comment.as_deref().unwrap_or_default()));
    field("addendum", &value(paper.journal_ref.as_deref().unwrap_or_default()));
    field("abstract", &value(&paper.abstract_text));
    text.push_str("}\n");
    text
}

/// A name in one piece: a comma or an `and` in it would make several of it.
fn name(source: &str) -> String {
    let name = value(source);
    let is_plain = !name.contains(',') && !name.split(' ').any(|word| word.eq_ignore_ascii_case("and"));
    if is_plain { name } else { format!("{{{name}}}") }
}

/// A value between braces. arXiv's texts are TeX already, so commands and formulas stay; what TeX would stumble
/// over outside of formulas is escaped, and braces without a partner are left out.
fn value(source: &str) -> String {
    let text = line(source);
    let partners = partners(&text);
    // A lone dollar sign is money, not the beginning of a formula.
    let has_formulas = text.matches('$').count().is_multiple_of(2);
    let mut out = String::with_capacity(text.len());
    let (mut is_escaped, mut is_formula) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            '{' | '}' if !is_escaped && !partners.contains(&at) => continue,
            // BibTeX counts these too.
            '{' | '}' if is_escaped => out.push_str(if c == '{' { "lbrace{}" } else { "rbrace{}" }),
            '$' if !is_escaped && has_formulas => {
                is_formula = !is_formula;
                out.push(c);
            }
            '&' | '%' | '#' | '_' | '$' if !is_escaped && !is_formula => out.extend(['\\', c]),
            '^' | '~' if !is_escaped && !is_formula => {
                out.push_str(if c == '^' { "\\textasciicircum{}" } else { "~" });
            }
            _ => out.push(c),
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    // A backslash at the end would take the closing brace.
    if is_escaped {
        out.push(' ');
    }
    out
}

/// Where the braces stand that have a partner.
fn partners(text: &str) -> std::collections::BTreeSet<usize> {
    let mut open = Vec::new();
    let mut partners = std::collections::BTreeSet::new();
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '{' if !is_escaped => open.push(at),
            '}' if !is_escaped => partners.extend(open.pop().map(|begin| [begin, at]).into_iter().flatten()),
            _ => {}
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    partners
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        export::{
            Section,
            tests::{at, numbered},
        },
        matching::fixture::corpus,
        model::Author,
    };

    #[test]
    fn values_are_tex_that_ends_where_it_should() {
        let check = |source: &str, expected: &str| assert_eq!(value(source), expected, "{source}");
        check("R&D costs 5% of $x_1^2$ at #1", "R\\&D costs 5\\% of $x_1^2$ at \\#1");
        check("only $5", "only \\$5");
        check("a } b {c} { d", "a  b {c}  d");
        check("{\\'e} \\& \\{x\\}", "{\\'e} \\& \\lbrace{}x\\rbrace{}");
        check("ends in \\", "ends in \\ ");
        check("snake_case\n^2", "snake\\_case \\textasciicircum{}2");
        assert_eq!(name("Ana Example"), "Ana Example");
        assert_eq!(name("Black and White, Inc."), "{Black and White, Inc.}");
    }

    #[test]
    fn an_entry_holds_what_a_reference_needs() {
        let paper = Paper {
            authors: vec![Author::named("Ana Example"), Author::named("Bo Specimen")],
            submitted: Some(at(1)),
            doi: Some("10.1000/xyz_1".to_owned()),
            comment: None,
            journal_ref: None,
            ..numbered(7, "On {DARTS}")
        };
        let page = Page {
            updated: at(2),
            sections: vec![Section {
                keyword: "x".to_owned(),
                papers: vec![paper],
                is_incomplete: false,
            }],
        };
        assert_eq!(
            write(&page),
            "@misc{arxiv:2602.00007,\n  author        = {Ana Example and Bo Specimen},\n  title         = {{On {DARTS}}},\n  \
             year          = {2026},\n  month         = {2},\n  eprint        = {2602.00007},\n  archiveprefix = {arXiv},\n  \
             primaryclass  = {cs.LG},\n  doi           = {10.1000/xyz_1},\n  \
             url           = {https://arxiv.org/abs/2602.00007},\n  abstract      = {An abstract.},\n}\n"
        );
    }

    #[test]
    fn every_recorded_paper_makes_an_entry_whose_braces_close() {
        let Some(papers) = corpus() else { return };
        for paper in papers {
            let text = entry(&paper);
            let mut depth = 0_i32;
            for (at, c) in text.char_indices() {
                // As BibTeX counts: backslashes do not matter to it.
                depth += match c {
                    '{' => 1,
                    '}' => -1,
                    _ => 0,
                };
                assert!(depth > 0 || at < 5 || at + 2 >= text.len(), "{text}");
            }
            assert_eq!(depth, 0, "{text}");
        }
    }
}
