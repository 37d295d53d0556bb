//! A list of all groups or transactional ids, so many at a time: a shard does other work between,
//! however many there are.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Bound;

/// So many are looked at for one page.
pub const LOOKED_AT_MAX: usize = 512;

/// One part of a list that is ordered by id.
#[derive(Clone, PartialEq, Debug)]
pub struct Page<T> {
    /// Those that are listed.
    pub listed: Vec<T>,
    /// The next page is what comes after this id; none if this was the last.
    pub goes_on_after: Option<String>,
}

/// What `list` makes of those that come after an id, as far as one page goes.
pub(crate) fn page_of<K: Borrow<str> + Ord, V, T>(
    all: &BTreeMap<K, V>,
    after: Option<&str>,
    mut list: impl FnMut(&str, &V) -> Option<T>,
) -> Page<T> {
    let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = all.range::<str, _>((begin, Bound::Unbounded));
    let mut page = Page {
        listed: Vec::new(),
        goes_on_after: None,
    };
    let mut last = None;
    for (id, of) in rest.by_ref().take(LOOKED_AT_MAX) {
        page.listed.extend(list(id.borrow(), of));
        last = Some(id);
    }
    if rest.next().is_some() {
        page.goes_on_after = last.map(|id| id.borrow().to_owned());
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_each_once_and_end() {
        for count in [0, 1, LOOKED_AT_MAX, LOOKED_AT_MAX + 1, 3 * LOOKED_AT_MAX] {
            let ids = (0..count).map(|n| (format!("{n:08}"), n));
            let all: BTreeMap<String, usize> = ids.collect();
            let (mut seen, mut pages, mut after) = (Vec::new(), 0, None);
            loop {
                let even = |_: &str, n: &usize| n.is_multiple_of(2).then_some(*n);
                let page = page_of(&all, after.as_deref(), even);
                seen.extend(page.listed);
                pages += 1;
                after = page.goes_on_after;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(seen, (0..count).step_by(2).collect::<Vec<_>>());
            assert_eq!(pages, count.div_ceil(LOOKED_AT_MAX).max(1), "{count}");
        }
    }
}
