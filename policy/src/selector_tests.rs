use super::*;
use proptest::prelude::*;

fn requirement(key: &str, operator: Operator, values: &[&str]) -> Requirement {
    Requirement {
        key: key.into(),
        operator,
        values: values.iter().map(|&v| v.into()).collect(),
    }
}

#[test]
fn spellings_of_one_meaning_are_equal() {
    let labels = Selector::from([("app", "web")]);
    let expression = Selector::new([], [requirement("app", Operator::In, &["web", "web"])]);
    assert_eq!(labels, expression);
    let both = Selector::new(
        [("app", "web")],
        [
            requirement("app", Operator::Exists, &[]),
            requirement("app", Operator::NotIn, &["db"]),
        ],
    );
    assert_eq!(labels, both);
    let never = Selector::new([("app", "web")], [requirement("app", Operator::NotIn, &["web"])]);
    assert_eq!(never, Selector::nothing());
    assert!(never.is_nothing());
}

#[test]
fn the_name_label_of_a_namespace_is_always_present() {
    let exists = Selector::new([], [requirement(NAMESPACE_NAME_LABEL, Operator::Exists, &[])]);
    assert!(exists.on_namespaces().is_everything());
    let absent = Selector::new(
        [],
        [requirement(NAMESPACE_NAME_LABEL, Operator::DoesNotExist, &[])],
    );
    assert!(absent.on_namespaces().is_nothing());
    assert!(!exists.is_everything());
}

fn any_selector() -> impl Strategy<Value = Selector> {
    let operator = prop_oneof![
        Just(Operator::In),
        Just(Operator::NotIn),
        Just(Operator::Exists),
        Just(Operator::DoesNotExist)
    ];
    let values = prop::collection::vec(prop_oneof![Just("x"), Just("y")], 1..3);
    let requirement =
        (prop_oneof![Just("a"), Just("b")], operator, values).prop_map(|(key, operator, values)| {
            let lists = matches!(operator, Operator::In | Operator::NotIn);
            requirement(key, operator, if lists { &values } else { &[] })
        });
    prop::collection::vec(requirement, 0..4).prop_map(|all| Selector::new([], all))
}

/// Every label set that selectors over keys `a`, `b` and values `x`, `y` can tell apart.
fn universe() -> Vec<Labels> {
    let states = [None, Some("x"), Some("y"), Some("other")];
    let pair = |a: Option<&'static str>, b: Option<&'static str>| {
        a.map(|v| ("a", v))
            .into_iter()
            .chain(b.map(|v| ("b", v)))
            .collect()
    };
    states
        .iter()
        .flat_map(|a| states.iter().map(move |b| pair(*a, *b)))
        .collect()
}

proptest! {
    #[test]
    fn algebra_agrees_with_matching_every_label_set(s in any_selector(), t in any_selector()) {
        let universe = universe();
        let both = s.intersect(&t);
        let pieces = s.subtract(&t);
        let (mut contained, mut common) = (true, false);
        for labels in &universe {
            prop_assert_eq!(both.matches(labels), s.matches(labels) && t.matches(labels));
            let hits = pieces.iter().filter(|piece| piece.matches(labels)).count();
            prop_assert_eq!(hits, usize::from(s.matches(labels) && !t.matches(labels)));
            common |= s.matches(labels) && t.matches(labels);
            contained &= !s.matches(labels) || t.matches(labels);
        }
        prop_assert_eq!(s.is_subset_of(&t), contained);
        prop_assert_eq!(s.intersects(&t), common);
        let same = universe.iter().all(|labels| s.matches(labels) == t.matches(labels));
        prop_assert_eq!(s == t, same);
    }

    #[test]
    fn overlaps_match_what_one_or_two_selectors_match(all in prop::collection::vec(any_selector(), 0..4)) {
        let overlaps = Selector::overlaps(&all);
        for labels in universe() {
            let matching = all.iter().filter(|s| s.matches(&labels));
            let distinct: BTreeSet<&Selector> = matching.collect();
            let n = distinct.len();
            let found = overlaps.iter().filter(|s| s.matches(&labels)).count();
            // Two pairs may match the same, so they are counted once.
            prop_assert!(found <= n * (n + 1) / 2);
            for (a, b) in distinct.iter().flat_map(|a| distinct.iter().map(move |b| (a, b))) {
                prop_assert!(overlaps.contains(&a.intersect(b)));
            }
        }
    }

    #[test]
    fn requirements_rebuild_the_selector(s in any_selector()) {
        prop_assert_eq!(Selector::new([], s.requirements()), s);
    }
}
