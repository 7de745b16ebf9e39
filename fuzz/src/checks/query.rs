//! Keywords and queries: what is read is written back and read as the same; what is refused is refused at a place; what is
//! accepted can be compiled, asked for, and found.

use paperround::{
    arxiv::search::{self, QUERIES_MAX, URL_BYTES_MAX},
    matching::{self, Fault, Matcher, Verdict},
    model::{Paper, Term},
};

/// A query, a phrase and a name of the same text.
pub fn query(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    match matching::parse(text) {
        Ok(expression) => {
            assert!(expression.is_anchored());
            let written = expression.to_string();
            match matching::parse(&written) {
                Ok(again) => assert_eq!(again, expression, "of {written}"),
                // Brackets and prefixes that the writer adds may carry a query over these two.
                Err(error) => assert!(
                    matches!(error.fault(), Fault::TooLong { .. } | Fault::TooDeep { .. }),
                    "{error} of {written}"
                ),
            }
        }
        Err(error) => {
            assert!(text.is_char_boundary(error.offset()) && error.column() >= 1);
            assert!(!error.to_string().is_empty() && error.pointer().contains('^'));
        }
    }
    for term in [Term::query(text), Term::phrase(text), Term::author(text)] {
        used(&term);
    }
}

fn used(term: &Term) {
    let valid = matching::validate(term);
    let matcher = Matcher::new(std::slice::from_ref(term));
    assert_eq!(
        valid.is_ok(),
        matcher.is_ok(),
        "checked and compiled differ on {term:?}"
    );
    let Ok(matcher) = matcher else { return };
    if let Ok(queries) = search::search_queries(term, &[]) {
        assert!((1..=QUERIES_MAX).contains(&queries.len()));
        assert!(
            queries.iter().all(|query| (1..=URL_BYTES_MAX).contains(&query.len())),
            "{queries:?}"
        );
    }
    let paper = paper(&term.text);
    let found = matcher.find(&paper);
    for found in &found {
        for (marks, text) in [
            (&found.title, &paper.title),
            (&found.abstract_text, &paper.abstract_text),
        ] {
            for mark in marks {
                assert!(text.get(mark.clone()).is_some(), "a mark at {mark:?} of {text:?}");
            }
            assert!(marks.windows(2).all(|pair| pair[0].end <= pair[1].start));
        }
    }
    let verdict = matching::explain(term, &paper).expect("a valid term can be explained");
    assert_eq!(
        matches!(verdict, Verdict::Fits(_)),
        !found.is_empty(),
        "explained and found differ on {term:?}"
    );
}

/// A paper that speaks of what is looked for.
fn paper(text: &str) -> Paper {
    Paper {
        id: "2603.00001".parse().expect("an identifier"),
        version: 1,
        title: text.to_owned(),
        authors: vec![paperround::model::Author::named(text)],
        abstract_text: format!("We study {text}, and more."),
        submitted: None,
        updated: None,
        categories: vec!["cs.LG".to_owned()],
        comment: Some(text.to_owned()),
        journal_ref: None,
        doi: None,
        withdrawn: false,
    }
}
