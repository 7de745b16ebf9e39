//! The sets by which arXiv's OAI-PMH interface is harvested: one per category, `group:archive:CLASS`.
//!
//! Larger sets exist (`cs`, `physics:astro-ph`), but arXiv answers for them too slowly to be read through. A paper
//! is in the set of each of its categories. Archives that were closed before 2009 are left out: nothing new is
//! filed under them.

use crate::matching::category;

/// One category's set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeafSet {
    /// The name in requests: `cs:cs:LG`, `physics:hep-th`.
    pub spec: String,
    /// The category whose papers it holds: `cs.LG`, `hep-th`.
    pub category: String,
}

impl LeafSet {
    /// Whether a paper with these categories is in it, under either name of a category that has two.
    pub fn holds(&self, categories: &[String]) -> bool {
        let aliases = category::aliases(&self.category);
        categories
            .iter()
            .any(|name| *name == self.category || aliases.contains(&name.as_str()))
    }
}

/// Group, archive, classes; an archive without classes is a category itself.
const ARCHIVES: [(&str, &str, &[&str]); 20] = [
    (
        "cs",
        "cs",
        &[
            "AI", "AR", "CC", "CE", "CG", "CL", "CR", "CV", "CY", "DB", "DC", "DL", "DM", "DS", "ET", "FL", "GL", "GR",
            "GT", "HC", "IR", "IT", "LG", "LO", "MA", "MM", "MS", "NA", "NE", "NI", "OH", "OS", "PF", "PL", "RO", "SC",
            "SD", "SE", "SI", "SY",
        ],
    ),
    ("econ", "econ", &["EM", "GN", "TH"]),
    ("eess", "eess", &["AS", "IV", "SP", "SY"]),
    (
        "math",
        "math",
        &[
            "AC", "AG", "AP", "AT", "CA", "CO", "CT", "CV", "DG", "DS", "FA", "GM", "GN", "GR", "GT", "HO", "IT", "KT",
            "LO", "MG", "MP", "NA", "NT", "OA", "OC", "PR", "QA", "RA", "RT", "SG", "SP", "ST",
        ],
    ),
    ("physics", "astro-ph", &["CO", "EP", "GA", "HE", "IM", "SR"]),
    (
        "physics",
        "cond-mat",
        &[
            "dis-nn",
            "mes-hall",
            "mtrl-sci",
            "other",
            "quant-gas",
            "soft",
            "stat-mech",
            "str-el",
            "supr-con",
        ],
    ),
    ("physics", "gr-qc", &[]),
    ("physics", "hep-ex", &[]),
    ("physics", "hep-lat", &[]),
    ("physics", "hep-ph", &[]),
    ("physics", "hep-th", &[]),
    ("physics", "math-ph", &[]),
    ("physics", "nlin", &["AO", "CD", "CG", "PS", "SI"]),
    ("physics", "nucl-ex", &[]),
    ("physics", "nucl-th", &[]),
    (
        "physics",
        "physics",
        &[
            "acc-ph", "ao-ph", "app-ph", "atm-clus", "atom-ph", "bio-ph", "chem-ph", "class-ph", "comp-ph", "data-an",
            "ed-ph", "flu-dyn", "gen-ph", "geo-ph", "hist-ph", "ins-det", "med-ph", "optics", "plasm-ph", "pop-ph",
            "soc-ph", "space-ph",
        ],
    ),
    ("physics", "quant-ph", &[]),
    (
        "q-bio",
        "q-bio",
        &["BM", "CB", "GN", "MN", "NC", "OT", "PE", "QM", "SC", "TO"],
    ),
    (
        "q-fin",
        "q-fin",
        &["CP", "EC", "GN", "MF", "PM", "PR", "RM", "ST", "TR"],
    ),
    ("stat", "stat", &["AP", "CO", "ME", "ML", "OT", "TH"]),
];

/// Every set, in the order of the alphabet of groups and archives.
pub fn all() -> Vec<LeafSet> {
    ARCHIVES
        .iter()
        .flat_map(|(group, archive, classes)| {
            let leaf = move |class: &&str| LeafSet {
                spec: format!("{group}:{archive}:{class}"),
                category: format!("{archive}.{class}"),
            };
            let whole = classes.is_empty().then(|| LeafSet {
                spec: format!("{group}:{archive}"),
                category: (*archive).to_owned(),
            });
            whole.into_iter().chain(classes.iter().map(leaf))
        })
        .collect()
}

/// The sets among those that arXiv lists which are not known here: categories that it has opened since. Archives
/// without classes are passed by, since among them are those that were closed long ago.
pub fn opened_since(specs: &[String]) -> Vec<LeafSet> {
    let known = all();
    let mut opened: Vec<LeafSet> = specs
        .iter()
        .filter_map(|spec| {
            let (_group, rest) = spec.split_once(':')?;
            let (archive, class) = rest.split_once(':')?;
            let category = format!("{archive}.{class}");
            let is_category = class != "*" && category::canonical(&category).is_some();
            is_category.then(|| LeafSet {
                spec: spec.clone(),
                category,
            })
        })
        .filter(|set| !known.iter().any(|known| known.spec == set.spec))
        .collect();
    opened.sort();
    opened.dedup();
    opened
}

/// Of all sets those that hold every paper which one of the patterns admits (`cs.LG`, `cs.*`), under either name of a
/// category that has two. `None` where a pattern covers none of their categories, so that only all sets are enough.
pub fn covering<'s>(patterns: &[String], all: &'s [LeafSet]) -> Option<Vec<&'s LeafSet>> {
    let mut names: Vec<&str> = Vec::new();
    for pattern in patterns {
        let n_before = names.len();
        names.push(pattern);
        names.extend(category::aliases(pattern));
        let is_known = |name: &&str| all.iter().any(|set| category::covers(name, &set.category));
        if !names[n_before..].iter().any(is_known) {
            return None;
        }
    }
    let is_covered = |set: &&LeafSet| names.iter().any(|name| category::covers(name, &set.category));
    Some(all.iter().filter(is_covered).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_category_has_one_set_of_its_own() {
        let all = all();
        let specs: std::collections::BTreeSet<&str> = all.iter().map(|set| set.spec.as_str()).collect();
        assert_eq!(specs.len(), all.len());
        assert_eq!(all.len(), 155);
        let find = |category: &str| {
            all.iter()
                .find(|set| set.category == category)
                .map(|set| set.spec.as_str())
        };
        assert_eq!(find("cs.LG"), Some("cs:cs:LG"));
        assert_eq!(find("hep-th"), Some("physics:hep-th"));
        assert_eq!(find("cond-mat.mes-hall"), Some("physics:cond-mat:mes-hall"));
        assert_eq!(find("physics.optics"), Some("physics:physics:optics"));
        assert_eq!(find("nlin.CD"), Some("physics:nlin:CD"));
    }

    #[test]
    fn a_category_that_arxiv_opened_since_is_found_among_its_sets() {
        let specs = [
            "cs",
            "cs:cs",
            "cs:cs:LG",
            "cs:cs:ZZ",
            "physics:acc-phys",
            "cs:cs:*",
            "a:b c:d",
            "physics:physics:new-ph",
            "cs:cs:ZZ",
        ];
        let specs: Vec<String> = specs.iter().map(|spec| (*spec).to_owned()).collect();
        let opened: Vec<(String, String)> = opened_since(&specs)
            .into_iter()
            .map(|set| (set.spec, set.category))
            .collect();
        let set = |spec: &str, category: &str| (spec.to_owned(), category.to_owned());
        assert_eq!(
            opened,
            [
                set("cs:cs:ZZ", "cs.ZZ"),
                set("physics:physics:new-ph", "physics.new-ph")
            ]
        );
        let all: Vec<LeafSet> = all().into_iter().chain(opened_since(&specs)).collect();
        let covered = covering(&["cs.ZZ".to_owned()], &all).unwrap();
        assert_eq!(covered.len(), 1);
        assert!(covering(&["cs.*".to_owned()], &all).unwrap().contains(&covered[0]));
    }

    #[test]
    fn a_set_holds_the_papers_of_both_names() {
        let check = |category: &str, categories: &[&str], expected: bool| {
            let all = all();
            let set = all.iter().find(|set| set.category == category).unwrap();
            let categories: Vec<String> = categories.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(set.holds(&categories), expected, "{category} {categories:?}");
        };
        check("cs.LG", &["stat.ML", "cs.LG"], true);
        check("cs.IT", &["math.IT"], true);
        check("math.IT", &["cs.IT"], true);
        check("cs.LG", &["cs.CV", "stat.ML"], false);
        check("hep-th", &[], false);
    }

    #[test]
    fn a_pattern_takes_the_sets_of_both_names() {
        let check = |patterns: &[&str], expected: Option<&[&str]>| {
            let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
            let all = all();
            let sets = covering(&patterns, &all);
            let specs: Option<Vec<&str>> = sets
                .as_ref()
                .map(|sets| sets.iter().map(|set| set.spec.as_str()).collect());
            assert_eq!(specs.as_deref(), expected, "{patterns:?}");
        };
        check(&["stat.ML", "cs.LG"], Some(&["cs:cs:LG", "stat:stat:ML"]));
        check(&["cs.IT"], Some(&["cs:cs:IT", "math:math:IT"]));
        check(
            &["econ.*"],
            Some(&["econ:econ:EM", "econ:econ:GN", "econ:econ:TH", "q-fin:q-fin:EC"]),
        );
        // A category that arXiv may have opened since: no set is known to hold its papers.
        check(&["cs.ZZ", "cs.LG"], None);
    }
}
