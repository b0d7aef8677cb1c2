//! Orders of writes: what breaks on the way, and in which order nothing would.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use bulkhead_policy::effect::{Step, analyse, safe_order};
use bulkhead_policy::{Direction, Pod, Policy, Window, World};
use common::brute::{self, BrutePolicy, Side};
use common::random::{self, HOME, Vocabulary, as_pod, home_pod, spec};
use common::scene::{pod, policy};
use proptest::prelude::*;

const DENY: &str = "{podSelector: {}, policyTypes: [Ingress]}";
const ALLOW: &str = "{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}], ports: [{port: 80}]}]}";
const ALLOW_ALL: &str = "{podSelector: {}, ingress: [{}]}";

fn object(name: &str, spec: &str) -> Arc<Policy> {
    Arc::new(Policy {
        name: name.into(),
        ..policy("home", spec)
    })
}

fn put(name: &str, spec: &str) -> Step {
    Step::put(object(name, spec))
}

fn delete(name: &str) -> Step {
    Step {
        namespace: "home".into(),
        name: name.into(),
        version: None,
    }
}

fn pods() -> Vec<Pod> {
    vec![pod("home", "1", []), pod("home", "2", []), pod("away", "3", [])]
}

#[test]
fn a_deny_by_one_writer_before_the_allow_of_another_is_the_worst_point() {
    let writers = [vec![put("deny", DENY)], vec![put("allow", ALLOW)]];
    let analysis = analyse(&World::default(), &pods(), &[], &writers);
    assert!(analysis.exhaustive);
    let (point, breaks) = analysis.worst().unwrap();
    assert_eq!(point, [1, 0]);
    assert_eq!(breaks.len(), 1);
    assert_eq!((breaks[0].pods, breaks[0].direction), (2, Direction::Ingress));
    let flows: Vec<String> = breaks[0].flows.iter().map(ToString::to_string).collect();
    assert_eq!(flows, ["every pod in any namespace on TCP/80"]);
}

#[test]
fn one_writer_that_allows_first_breaks_nothing() {
    let writers = [vec![put("allow", ALLOW), put("deny", DENY)]];
    assert!(
        analyse(&World::default(), &pods(), &[], &writers)
            .worst()
            .is_none()
    );
}

#[test]
fn the_safe_order_allows_before_it_denies_and_before_it_closes() {
    let steps = [put("deny", DENY), put("allow", ALLOW)];
    assert_eq!(
        safe_order(&World::default(), &pods(), &[], &steps),
        Some(vec![1, 0])
    );
    let start = [object("open", ALLOW_ALL), object("deny", DENY)];
    let steps = [delete("open"), put("allow", ALLOW)];
    assert_eq!(
        safe_order(&World::default(), &pods(), &start, &steps),
        Some(vec![1, 0])
    );
}

#[test]
fn there_is_no_safe_order_when_no_step_may_come_first() {
    let both = |a: u16, b: u16| {
        format!("{{podSelector: {{}}, ingress: [{{ports: [{{port: {a}}}, {{port: {b}}}]}}]}}")
    };
    let start = [object("x", &both(1, 2)), object("y", &both(3, 4))];
    let steps = [put("x", &both(3, 4)), put("y", &both(1, 2))];
    assert_eq!(safe_order(&World::default(), &pods(), &start, &steps), None);
    let helped = [steps[0].clone(), steps[1].clone(), put("z", ALLOW_ALL)];
    assert_eq!(
        safe_order(&World::default(), &pods(), &start, &helped),
        Some(vec![2, 0, 1])
    );
}

#[test]
fn steps_on_one_object_keep_their_order() {
    let start = [object("deny", DENY), object("x", ALLOW)];
    let steps = [delete("x"), put("x", ALLOW), put("y", ALLOW)];
    assert_eq!(
        safe_order(&World::default(), &pods(), &start, &steps),
        Some(vec![2, 0, 1])
    );
    assert_eq!(safe_order(&World::default(), &pods(), &start, &steps[..2]), None);
}

const PLAIN: Vocabulary = Vocabulary {
    blocks: false,
    names: false,
};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_point_is_broken_exactly_when_brute_force_finds_a_lost_connection(
        specs in prop::collection::vec(spec(PLAIN), 1..4),
        subject in home_pod(),
    ) {
        let parsed: Vec<_> = specs.iter().enumerate().map(|(at, spec)| {
            let policy = bulkhead_policy::v1::parse(HOME, format!("p{at}"), spec);
            Step::put(Arc::new(policy.unwrap()))
        }).collect();
        let steps = parsed.len();
        let analysis = analyse(&World::default(), &[as_pod(&subject)], &[], &[parsed]);
        let all: Vec<BrutePolicy<'_>> =
            specs.iter().map(|spec| BrutePolicy { namespace: HOME, spec }).collect();
        let mut ports = random::ports();
        ports.push(("ICMP", 1));
        for done in 0..=steps {
            let lost = [Side::Ingress, Side::Egress].into_iter().any(|side| {
                random::every_peer().iter().any(|end| ports.iter().any(|&port| {
                    let allowed = |policies| brute::allowed(policies, side, &subject, end, port);
                    allowed(&all[..0]) && allowed(&all) && !allowed(&all[..done])
                }))
            });
            let found = analysis.breaks.iter().any(|b| b.done == [done]);
            prop_assert_eq!(found, lost, "after {} of {}", done, steps);
        }
    }
}

/// Writers as they could be, over two namespaces and few names, so that they get in each other's way.
fn writers() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let version = prop::sample::select(vec![Some(DENY), Some(ALLOW), Some(ALLOW_ALL), None]);
    let step = (
        prop::sample::select(vec!["home", "away"]),
        prop::sample::select(vec!["x", "y"]),
        version,
    );
    let step = step.prop_map(|(namespace, name, spec)| Step {
        namespace: namespace.into(),
        name: name.into(),
        version: spec.map(|spec| {
            Arc::new(Policy {
                name: name.into(),
                ..policy(namespace, spec)
            })
        }),
    });
    prop::collection::vec(prop::collection::vec(step, 0..4), 1..4)
}

/// How many pods have lost something at a point, by judging that very point.
fn lost_at(writers: &[Vec<Step>], point: &[usize]) -> usize {
    let world = World::default();
    let window = |namespace: &str, point: &[usize]| -> Window {
        let mut objects: BTreeMap<Arc<str>, Vec<Option<Arc<Policy>>>> = BTreeMap::new();
        for (writer, done) in writers.iter().zip(point) {
            let own = writer
                .iter()
                .take(*done)
                .filter(|step| *step.namespace == *namespace);
            let last: BTreeMap<_, _> = own
                .map(|step| (step.name.clone(), step.version.clone()))
                .collect();
            for (name, version) in last {
                objects.entry(name).or_default().push(version);
            }
        }
        objects.into_values().collect()
    };
    let (start, end) = (
        vec![0; writers.len()],
        writers.iter().map(Vec::len).collect::<Vec<_>>(),
    );
    let pods = pods();
    let peer = bulkhead_policy::Pod::new("other", "peer", bulkhead_policy::Labels::default());
    let broken = |pod: &&Pod| {
        let ports = |point: &[usize]| {
            let window = window(&pod.namespace, point);
            window.guaranteed_ports(
                &world,
                pod,
                Direction::Ingress,
                &bulkhead_policy::Endpoint::Pod(&peer),
            )
        };
        !ports(&start)
            .intersect(&ports(&end))
            .subtract(&ports(point))
            .is_empty()
    };
    pods.iter().filter(broken).count()
}

proptest! {
    #[test]
    fn the_worst_point_of_several_writers_is_the_worst_of_all_their_interleavings(writers in writers()) {
        let mut points: Vec<Vec<usize>> = vec![vec![]];
        for writer in &writers {
            points = points.iter()
                .flat_map(|point| (0..=writer.len()).map(move |done| [&point[..], &[done]].concat()))
                .collect();
        }
        let most = points.iter().map(|point| lost_at(&writers, point)).max().unwrap();
        let analysis = analyse(&World::default(), &pods(), &[], &writers);
        prop_assert!(analysis.exhaustive);
        match analysis.worst() {
            None => prop_assert_eq!(most, 0),
            Some((point, breaks)) => {
                prop_assert_eq!(lost_at(&writers, &point), most);
                let classes: BTreeMap<usize, usize> = breaks.iter().map(|b| (b.pod, b.pods)).collect();
                prop_assert_eq!(classes.values().sum::<usize>(), most);
                let earlier = points.iter().take_while(|other| **other < point);
                prop_assert!(earlier.map(|other| lost_at(&writers, other)).all(|lost| lost < most), "the earliest");
            }
        }
    }
}

#[test]
fn writers_of_different_namespaces_are_worst_when_both_have_denied() {
    let away = |spec: &str| {
        Step::put(Arc::new(Policy {
            name: spec.len().to_string().into(),
            ..policy("away", spec)
        }))
    };
    let writers = [
        vec![put("deny", DENY), put("allow", ALLOW_ALL)],
        vec![away(DENY), away(ALLOW_ALL)],
    ];
    let analysis = analyse(&World::default(), &pods(), &[], &writers);
    let (point, breaks) = analysis.worst().unwrap();
    assert_eq!(point, [1, 1]);
    assert_eq!(breaks.iter().map(|b| b.pods).sum::<usize>(), 3);
}
