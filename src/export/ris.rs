//! References in the RIS format.

use super::{Page, abstract_page, date, pdf, readable};
use crate::{
    matching::is_name_suffix,
    model::Paper,
    render::{doi, line},
};

pub(super) fn write(page: &Page) -> String {
    page.papers()
        .iter()
        .map(|(paper, keywords)| entry(paper, keywords))
        .collect()
}

fn entry(paper: &Paper, keywords: &[&str]) -> String {
    let mut text = String::new();
    let mut field = |tag: &str, value: &str| {
        if !value.is_empty() || tag == "ER" {
            // Lines end in CR LF in this format.
            text.extend([tag, "  - ", value, "\r\n"]);
        }
    };
    field("TY", "UNPB");
    field("TI", &readable(&paper.title));
    for author in &paper.authors {
        field("AU", &family_first(&line(&author.name)));
    }
    if let Some(day) = paper.submitted.map(|at| at.date_naive()).or(date(paper)) {
        field("PY", &day.format("%Y").to_string());
        field("DA", &day.format("%Y/%m/%d").to_string());
    }
    field("AB", &readable(&paper.abstract_text));
    field("PB", "arXiv");
    field("AN", &format!("arXiv:{}", paper.id));
    if let Some(address) = paper.doi.as_deref().and_then(doi) {
        field("DO", address.trim_start_matches("https://doi.org/"));
    }
    field("UR", &abstract_page(paper));
    field("L1", &pdf(paper));
    for keyword in keywords {
        field("KW", &line(keyword));
    }
    for category in &paper.categories {
        field("KW", &line(category));
    }
    field("N1", &readable(paper.comment.as_deref().unwrap_or_default()));
    field("N1", &readable(paper.journal_ref.as_deref().unwrap_or_default()));
    field("ER", "");
    text
}

/// `Ana van der Example Jr.` → `van der Example, Ana, Jr.`: the family name is the last word, and the words in lower
/// case before it belong to it. A collaboration stays as it is.
fn family_first(name: &str) -> String {
    let mut words: Vec<&str> = name.split(' ').filter(|word| !word.is_empty()).collect();
    let is_group = ["collaboration", "team", "group", "consortium"]
        .iter()
        .any(|noun| name.to_lowercase().ends_with(noun));
    if words.len() < 2 || name.contains(',') || is_group {
        return name.to_owned();
    }
    let suffix = words
        .pop_if(|last| is_name_suffix(&last.trim_end_matches('.').to_lowercase()))
        .map_or_else(String::new, |suffix| format!(", {suffix}"));
    let is_particle = |word: &&str| word.chars().next().is_some_and(char::is_lowercase);
    let n_particles = words[..words.len() - 1]
        .iter()
        .rev()
        .take_while(|word| is_particle(word))
        .count();
    let (given, family) = words.split_at(words.len() - 1 - n_particles);
    if given.is_empty() {
        return family.join(" ") + &suffix;
    }
    format!("{}, {}{suffix}", family.join(" "), given.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        export::tests::{at, numbered},
        model::Author,
    };

    #[test]
    fn names_have_the_family_first() {
        let check = |name: &str, expected: &str| assert_eq!(family_first(name), expected);
        check("Ana Example", "Example, Ana");
        check("Ana B. van der Example", "van der Example, Ana B.");
        check("Bo Specimen Jr.", "Specimen, Bo, Jr.");
        check("Example", "Example");
        check("the Example Collaboration", "the Example Collaboration");
        check("de Example", "de Example");
        check("", "");
    }

    #[test]
    fn nothing_in_a_paper_begins_a_line_of_its_own() {
        let hostile = Paper {
            authors: vec![Author::named("Ana\nER  - ")],
            submitted: Some(at(1)),
            abstract_text: "x\r\nTY  - JOUR\u{2028}y".to_owned(),
            ..numbered(7, "On $\\alpha$")
        };
        let text = entry(&hostile, &["graph"]);
        let tags: Vec<&str> = text.split_terminator("\r\n").map(|field| &field[..2]).collect();
        assert_eq!(
            tags,
            [
                "TY", "TI", "AU", "PY", "DA", "AB", "PB", "AN", "UR", "L1", "KW", "KW", "KW", "N1", "N1", "ER"
            ]
        );
        assert!(
            text.contains("TI  - On α\r\nAU  - ") && text.contains("DA  - 2026/02/01\r\n"),
            "{text}"
        );
    }
}
