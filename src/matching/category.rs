//! Category patterns, and the categories that go by two names.

/// Pairs of names for one category. The query API and its answers know only the first of each pair; OAI-PMH
/// and the feeds list both.
const TWINS: [(&str, &str); 6] = [
    ("cs.IT", "math.IT"),
    ("eess.SY", "cs.SY"),
    ("math.NA", "cs.NA"),
    ("math.ST", "stat.TH"),
    ("math-ph", "math.MP"),
    ("econ.GN", "q-fin.EC"),
];

/// Archives that are divided into classes; a paper is never filed under their bare name.
const DIVIDED: [&str; 11] = [
    "astro-ph", "cond-mat", "cs", "econ", "eess", "math", "nlin", "physics", "q-bio", "q-fin", "stat",
];

/// A pattern in arXiv's own spelling (`CS.lg` becomes `cs.LG`), a bare divided archive with its `.*`; `None`
/// if no category can look like that.
pub fn canonical(pattern: &str) -> Option<String> {
    let (archive, class) = match pattern.split_once('.') {
        Some((archive, class)) => (archive, Some(class)),
        None => (pattern, None),
    };
    let is_name = |name: &str| {
        (1..=20).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-')
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
    };
    if !is_name(archive) {
        return None;
    }
    let archive = archive.to_ascii_lowercase();
    match class {
        None if DIVIDED.contains(&archive.as_str()) => Some(format!("{archive}.*")),
        None => Some(archive),
        Some("*") => Some(format!("{archive}.*")),
        Some(class) if !is_name(class) => None,
        // Classes of two letters are written in capitals, longer ones (mes-hall) are not.
        Some(class) if class.len() == 2 => Some(format!("{archive}.{}", class.to_ascii_uppercase())),
        Some(class) => Some(format!("{archive}.{}", class.to_ascii_lowercase())),
    }
}

/// All names of what a canonical pattern covers that the pattern itself does not: `math.IT` for `cs.IT`,
/// `eess.SY` and `math.NA` for `cs.*`.
pub fn aliases(pattern: &str) -> Vec<&'static str> {
    let mut aliases = Vec::new();
    for (one, other) in TWINS {
        for (name, twin) in [(one, other), (other, one)] {
            if covers(pattern, name) && !covers(pattern, twin) {
                aliases.push(twin);
            }
        }
    }
    aliases
}

/// Whether a canonical pattern covers a category as written: `cs.*` covers `cs.LG` and a bare `cs`.
pub fn covers(pattern: &str, category: &str) -> bool {
    match pattern.strip_suffix(".*") {
        Some(archive) => category
            .strip_prefix(archive)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
        None => pattern == category,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CASES 10.
    #[test]
    fn every_real_shape_of_category_is_known() {
        let check =
            |input: &str, expected: Option<&str>| assert_eq!(canonical(input).as_deref(), expected, "{input:?}");
        for same in [
            "cs.LG",
            "cond-mat.mes-hall",
            "physics.acc-ph",
            "hep-th",
            "q-bio.NC",
            "cs.*",
            "q-fin.*",
        ] {
            check(same, Some(same));
        }
        check("cs.Lg", Some("cs.LG"));
        check("cs", Some("cs.*"));
        check("HEP-TH", Some("hep-th"));
        for wrong in ["", ".", "cs.", "*", "*.LG", "cs.LG*", "cs LG", "a\"b", "cs.L.G", "-x"] {
            check(wrong, None);
        }
    }

    #[test]
    fn both_names_of_a_category_are_found() {
        assert_eq!(aliases("cs.IT"), ["math.IT"]);
        assert_eq!(aliases("math.IT"), ["cs.IT"]);
        assert_eq!(aliases("cs.*"), ["math.IT", "eess.SY", "math.NA"]);
        assert_eq!(aliases("math-ph"), ["math.MP"]);
        assert!(aliases("cs.LG").is_empty());
    }
}
