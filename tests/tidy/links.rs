//! Links between the documents lead somewhere.

use crate::sources::{all, assert_none, root};

#[test]
fn links_in_documents_resolve() {
    let mut faults = Vec::new();
    for document in all(".md") {
        let folder = document
            .path
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        for link in links(&document.text) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => root().join(&document.path),
                path => root().join(folder).join(path),
            };
            if !target.exists() {
                faults.push(format!("{}: {link} leads nowhere", document.path));
            } else if !anchor.is_empty() && !has_heading(&target, anchor) {
                faults.push(format!("{}: {link} names no heading", document.path));
            }
        }
    }
    assert_none("links in documents", &faults);
}

/// What stands between `](` and `)`, but for links into the Web.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| {
        let link = rest.split_once(')')?.0;
        (!link.contains("://") && !link.starts_with("mailto:")).then_some(link)
    })
}

/// Whether a document has a heading that `anchor` means, written as hosts of repositories do it:
/// lower case, blanks as dashes, no punctuation.
fn has_heading(document: &std::path::Path, anchor: &str) -> bool {
    let text = std::fs::read_to_string(document).unwrap_or_default();
    let mut headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    headings.any(|heading| {
        let heading = heading
            .trim_start_matches('#')
            .trim()
            .to_lowercase()
            .replace(' ', "-");
        let kept = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_');
        kept.collect::<String>() == anchor
    })
}
