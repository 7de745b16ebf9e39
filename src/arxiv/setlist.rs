//! The list of OAI-PMH sets (`ListSets`), by which categories that arXiv opens become known.

use super::{
    oai::{ErrorCode, OaiError},
    xml::{self, FeedError, Part, Shape, Space},
};

const SHAPE: Shape = Shape {
    roots: &[(Space::Oai, "OAI-PMH")],
    containers: &[(Space::Oai, "ListSets")],
    entries: &[(Space::Oai, "set")],
    expected: "a list of OAI-PMH sets",
};
/// The longest name of a set that is taken, in bytes; arXiv's longest has some thirty.
const SPEC_BYTES_MAX: usize = 64;

/// The names of all sets, as requests use them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetList {
    /// `cs`, `physics:hep-th`, `cs:cs:LG`.
    pub specs: Vec<String>,
}

/// Reads the list.
///
/// # Errors
/// Whatever is not a whole OAI-PMH document with at least one set, and every protocol error.
pub fn parse(body: &[u8]) -> Result<SetList, OaiError> {
    let mut list = SetList::default();
    let mut refusal = None;
    xml::walk(body, &SHAPE, |part| match part {
        Part::Head(element) if (element.space, element.name()) == (Space::Oai, "error") => {
            refusal = Some(OaiError::Protocol {
                code: ErrorCode::of(&element.attribute("code").unwrap_or_default()),
                text: super::fields::line(&element.text, super::fields::LINE_BYTES_MAX),
            });
        }
        Part::Entry(set, _) => {
            let spec = set.text_of(Space::Oai, "setSpec").trim();
            if (1..=SPEC_BYTES_MAX).contains(&spec.len()) {
                list.specs.push(spec.to_owned());
            }
        }
        Part::Head(_) | Part::Broken(_) => {}
    })?;
    match refusal {
        Some(refusal) => Err(refusal),
        None if list.specs.is_empty() => Err(FeedError::Empty.into()),
        None => Ok(list),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_all_sets_are_read() {
        let answer = |inside: &str| {
            format!(
                "<?xml version='1.0' encoding='UTF-8'?><OAI-PMH xmlns='http://www.openarchives.org/OAI/2.0/'>\
                 <responseDate>2026-02-11T06:00:00Z</responseDate>{inside}</OAI-PMH>"
            )
        };
        let set = |spec: &str| format!("<set><setSpec>{spec}</setSpec><setName>A name</setName></set>");
        let sets = format!("<ListSets>{}{}{}</ListSets>", set("cs"), set(" cs:cs:LG "), set(""));
        assert_eq!(parse(answer(&sets).as_bytes()).unwrap().specs, ["cs", "cs:cs:LG"]);
        for (wrong, expected) in [
            ("<ListSets></ListSets>", "cannot be read"),
            ("<error code='badArgument'>no</error>", "badArgument"),
        ] {
            let error = parse(answer(wrong).as_bytes()).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert!(parse(b"<html></html>").is_err());
    }
}
