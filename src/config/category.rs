//! arXiv's categories: which patterns can fit a paper.

use super::problems::nearest;

/// The archives that are split into classes, with their classes.
const CLASSES: &[(&str, &str)] = &[
    ("astro-ph", "CO EP GA HE IM SR"),
    (
        "cond-mat",
        "dis-nn mes-hall mtrl-sci other quant-gas soft stat-mech str-el supr-con",
    ),
    (
        "cs",
        "AI AR CC CE CG CL CR CV CY DB DC DL DM DS ET FL GL GR GT HC IR IT LG LO MA MM MS NA NE NI OH OS PF PL RO SC SD SE SI SY",
    ),
    ("econ", "EM GN TH"),
    ("eess", "AS IV SP SY"),
    (
        "math",
        "AC AG AP AT CA CO CT CV DG DS FA GM GN GR GT HO IT KT LO MG MP NA NT OA OC PR QA RA RT SG SP ST",
    ),
    ("nlin", "AO CD CG PS SI"),
    (
        "physics",
        "acc-ph ao-ph app-ph atm-clus atom-ph bio-ph chem-ph class-ph comp-ph data-an ed-ph flu-dyn gen-ph geo-ph hist-ph ins-det med-ph optics plasm-ph pop-ph soc-ph space-ph",
    ),
    ("q-bio", "BM CB GN MN NC OT PE QM SC TO"),
    ("q-fin", "CP EC GN MF PM PR RM ST TR"),
    ("stat", "AP CO ME ML OT TH"),
];

/// The archives that are categories themselves.
const WHOLE_ARCHIVES: &[&str] = &[
    "gr-qc", "hep-ex", "hep-lat", "hep-ph", "hep-th", "math-ph", "nucl-ex", "nucl-th", "quant-ph",
];

/// Categories that are one and the same; a paper may carry either name, depending on the interface.
const ALIASES: &[(&str, &str)] = &[
    ("cs.IT", "math.IT"),
    ("cs.NA", "math.NA"),
    ("cs.SY", "eess.SY"),
    ("econ.GN", "q-fin.EC"),
    ("math-ph", "math.MP"),
    ("math.ST", "stat.TH"),
];

/// Checks one pattern: a category such as `cs.LG`, or `cs.*` for all classes of an archive.
///
/// # Errors
///
/// How to write it instead.
pub(super) fn check_category(pattern: &str) -> Result<(), String> {
    let known = known_patterns();
    if known.iter().any(|known| known == pattern) {
        return Ok(());
    }
    let candidates: Vec<&str> = known.iter().map(String::as_str).collect();
    if let Some((archive, _)) = CLASSES
        .iter()
        .find(|(archive, _)| archive.eq_ignore_ascii_case(pattern))
    {
        return Err(format!("write \"{archive}.*\" for all of {archive}"));
    }
    if let Some(exact) = candidates.iter().find(|known| known.eq_ignore_ascii_case(pattern)) {
        return Err(format!("write {exact:?}: capitals matter"));
    }
    Err(match nearest(pattern, &candidates) {
        Some(nearest) => {
            let archive = |name: &str| name.split('.').next().map(str::to_owned);
            let newer = archive(nearest)
                .filter(|known| archive(pattern).as_ref() == Some(known) && pattern.contains('.'))
                .map_or_else(String::new, |known| {
                    format!(" \"{known}.*\" also takes categories newer than this program")
                });
            format!("did you mean {nearest:?}?{newer}")
        }
        None => {
            "use names from https://arxiv.org/category_taxonomy, such as \"cs.LG\", \"hep-th\" or \"cs.*\"".to_owned()
        }
    })
}

/// The patterns together with the other names of the same categories, sorted and without repetition.
pub(super) fn with_aliases(patterns: &[String]) -> Vec<String> {
    let mut all = patterns.to_vec();
    for pattern in patterns {
        all.extend(ALIASES.iter().filter_map(|(a, b)| match pattern.as_str() {
            pattern if pattern == *a => Some((*b).to_owned()),
            pattern if pattern == *b => Some((*a).to_owned()),
            _ => None,
        }));
    }
    all.sort_unstable();
    all.dedup();
    all
}

fn known_patterns() -> Vec<String> {
    let classes = CLASSES.iter().flat_map(|(archive, classes)| {
        let names = classes.split(' ').map(move |class| format!("{archive}.{class}"));
        std::iter::once(format!("{archive}.*")).chain(names)
    });
    let whole = WHOLE_ARCHIVES
        .iter()
        .flat_map(|archive| [(*archive).to_owned(), format!("{archive}.*")]);
    classes.chain(whole).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_can_fit_no_paper_are_refused() {
        let check = |pattern: &str, expected: Result<(), &str>| match (check_category(pattern), expected) {
            (Ok(()), Ok(())) => {}
            (Err(mend), Err(expected)) => assert!(mend.contains(expected), "{pattern:?}: {mend}"),
            (found, _) => panic!("{pattern:?}: {found:?}"),
        };
        for pattern in [
            "cs.LG",
            "cs.*",
            "hep-th",
            "hep-th.*",
            "cond-mat.mtrl-sci",
            "astro-ph.CO",
            "math.MP",
            "q-fin.EC",
        ] {
            check(pattern, Ok(()));
        }
        check("cs.lg", Err("write \"cs.LG\": capitals matter"));
        check("CS.*", Err("write \"cs.*\""));
        check("cs", Err("write \"cs.*\" for all of cs"));
        check("Math", Err("write \"math.*\""));
        check("stats.ML", Err("did you mean \"stat.ML\"?"));
        check("cs.LL", Err("\"cs.*\" also takes categories newer than this program"));
        check("cs-LG", Err("did you mean \"cs."));
        check("*", Err("category_taxonomy"));
        check("machine learning", Err("category_taxonomy"));
        check("", Err("category_taxonomy"));
    }

    #[test]
    fn both_names_of_one_category_are_looked_for() {
        let patterns = |list: &[&str]| list.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            with_aliases(&patterns(&["stat.ML", "math.IT"])),
            patterns(&["cs.IT", "math.IT", "stat.ML"])
        );
        assert_eq!(
            with_aliases(&patterns(&["eess.SY", "cs.SY"])),
            patterns(&["cs.SY", "eess.SY"])
        );
    }

    #[test]
    fn every_category_of_recorded_papers_is_known() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/arxiv/corpus.jsonl");
        let Ok(corpus) = std::fs::read_to_string(path) else {
            println!("skipped: ../shared is absent");
            return;
        };
        let mut unknown = std::collections::BTreeSet::new();
        for line in corpus.lines() {
            let paper: serde_json::Value = serde_json::from_str(line).unwrap();
            let year_month = paper["id"].as_str().unwrap_or_default();
            // Before 2009 papers carry archives that were split since.
            if year_month.as_bytes().first().is_none_or(|b| !b.is_ascii_digit()) || year_month < "1001" {
                continue;
            }
            for category in paper["categories"].as_array().into_iter().flatten() {
                let category = category.as_str().unwrap();
                if check_category(category).is_err() {
                    unknown.insert(category.to_owned());
                }
            }
        }
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
