//! The algebra of any two selectors agrees with matching labels that the text names.
#![no_main]

use bulkhead_policy::v1::{LabelSelector, NetworkPolicySpec, parse};
use bulkhead_policy::{Labels, Selector};
use libfuzzer_sys::fuzz_target;

fn read(text: &str) -> Option<Selector> {
    let selector: LabelSelector = serde_yaml::from_str(text).ok()?;
    let spec = NetworkPolicySpec {
        pod_selector: Some(selector),
        ..NetworkPolicySpec::default()
    };
    Some(parse("home", "p", &spec).ok()?.pods)
}

fuzz_target!(|text: &str| {
    let Some((first, second)) = text.split_once("---") else {
        return;
    };
    let (Some(a), Some(b)) = (read(first), read(second)) else {
        return;
    };
    let both = a.intersect(&b);
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    for key in words.iter().take(8) {
        for value in words.iter().take(8) {
            let labels = Labels::from([(*key, *value)]);
            assert_eq!(both.matches(&labels), a.matches(&labels) && b.matches(&labels));
            assert!(!a.is_subset_of(&b) || !a.matches(&labels) || b.matches(&labels));
            assert!(a.intersects(&b) || !both.matches(&labels));
        }
    }
});
