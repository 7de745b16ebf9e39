//! What a later version of a paper changed.

use crate::{
    model::{Changes, Paper},
    tex,
};

/// What `later` changed as against `former`, as readers see it: another spelling of the same accents, as arXiv's
/// interfaces have it, and another breaking of lines are no changes.
pub fn changes(former: &Paper, later: &Paper) -> Changes {
    let comment = |paper: &Paper| readable(paper.comment.as_deref().unwrap_or_default());
    Changes {
        title_before: (readable(&former.title) != readable(&later.title)).then(|| former.title.clone()),
        abstract_text: readable(&former.abstract_text) != readable(&later.abstract_text),
        comment: comment(former) != comment(later),
    }
}

fn readable(source: &str) -> String {
    let text = tex::to_text(source);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::fixture::paper;

    #[test]
    fn title_abstract_and_comment_are_compared_as_readers_see_them() {
        let former = Paper {
            comment: Some("9 pages".to_owned()),
            ..paper("On Schr\\\"odinger bridges", "One line.\nAnother.")
        };
        let check = |later: Paper, expected: Changes| assert_eq!(changes(&former, &later), expected, "{later:?}");
        let same = Paper {
            version: 2,
            comment: Some("9  pages".to_owned()),
            ..paper("On Schrödinger  bridges", "One line. Another.")
        };
        check(same.clone(), Changes::default());
        let renamed = Paper {
            title: "On bridges".to_owned(),
            ..same.clone()
        };
        check(
            renamed,
            Changes {
                title_before: Some(former.title.clone()),
                ..Changes::default()
            },
        );
        let rewritten = Paper {
            abstract_text: "One line. A third.".to_owned(),
            ..same.clone()
        };
        check(
            rewritten,
            Changes {
                abstract_text: true,
                ..Changes::default()
            },
        );
        for comment in [None, Some("9 pages, accepted at EACL".to_owned())] {
            let commented = Paper {
                comment,
                ..same.clone()
            };
            check(
                commented,
                Changes {
                    comment: true,
                    ..Changes::default()
                },
            );
        }
    }
}
