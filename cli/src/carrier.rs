//! Where the switch is stored on this cluster.

use anyhow::{Context as _, Result};
use bulkhead_api::isolation::ModeRemoval;
use bulkhead_api::network::Network;
use bulkhead_api::switch::{Isolation, Mode, SystemNamespaces};
use bulkhead_api::vocabulary::CLUSTER;
use bulkhead_api::{SystemIsolation, isolation::SystemIsolationSpec};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::core::ApiResource;
use serde_json::{Value, json};

use crate::args::DryRun;
use crate::errors::{self, Absent};
use crate::inventory;
use crate::write::{self, Written};

/// A place for the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// The Network operator config: where its schema has the field.
    Network,
    /// Our own singleton: everywhere else.
    SystemIsolation,
}

impl Carrier {
    /// Its kind, as status reports it.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Network => "Network",
            Self::SystemIsolation => "SystemIsolation",
        }
    }

    /// `kind.group/name`.
    pub fn object(self) -> &'static str {
        match self {
            Self::Network => "network.operator.openshift.io/cluster",
            Self::SystemIsolation => "systemisolation.network.operator.openshift.io/cluster",
        }
    }
}

/// What one carrier says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Its generation, 0 where the object is absent.
    pub generation: i64,
    /// The switch, if set.
    pub switch: Option<SystemNamespaces>,
    /// What is set, where it is not what the schema says.
    pub invalid: Option<String>,
}

/// Both carriers as they stand.
#[derive(Clone, Debug)]
pub struct Carriers {
    /// Where a mode is to be written.
    pub chosen: Carrier,
    /// What the Network operator config says; nothing where it has no such field.
    pub network: Reading,
    /// What our singleton says.
    pub isolation: Reading,
    /// Our singleton, where it exists.
    pub object: Option<SystemIsolation>,
}

impl Carriers {
    /// The first carrier with a mode, which wins.
    pub fn in_force(&self) -> Option<(Carrier, &Reading)> {
        [
            (Carrier::Network, &self.network),
            (Carrier::SystemIsolation, &self.isolation),
        ]
        .into_iter()
        .find(|(_, reading)| reading.switch.is_some() || reading.invalid.is_some())
    }

    /// The reason of the emergency hold, if one is set.
    pub fn hold(&self) -> Option<&str> {
        self.object
            .as_ref()?
            .spec
            .hold
            .as_ref()
            .map(|hold| hold.reason.as_str())
    }

    /// What is wrong between the carriers, if anything.
    pub fn conflict(&self) -> Option<String> {
        let (first, second) = (&self.network.switch, &self.isolation.switch);
        let differ = first.is_some() && second.is_some() && first != second;
        differ.then(|| {
            format!(
                "{} and {} disagree, so the last applied configuration stays in force: set the mode again to \
                 leave it in one place",
                Carrier::Network.object(),
                Carrier::SystemIsolation.object()
            )
        })
    }

    /// The specification of our singleton.
    fn spec(&self) -> Option<&SystemIsolationSpec> {
        self.object.as_ref().map(|object| &object.spec)
    }
}

/// Whether the schema of the served Network kind has the switch. A schema that merely keeps unknown fields
/// does not count: nobody would validate the value.
pub fn has_field(crd: &CustomResourceDefinition) -> bool {
    crd.spec
        .versions
        .iter()
        .filter(|version| version.served && version.name == "v1")
        .filter_map(|version| version.schema.as_ref()?.open_api_v3_schema.as_ref())
        .any(|schema| {
            ["spec", "systemNetworkPolicy", "systemNamespaces", "mode"]
                .iter()
                .try_fold(schema, |at, field| at.properties.as_ref()?.get(*field))
                .is_some()
        })
}

/// Reads both carriers.
pub async fn read(client: &Client) -> Result<Carriers> {
    let chosen = choose(client).await?;
    let network = match chosen {
        Carrier::Network => network_reading(client).await?,
        Carrier::SystemIsolation => Reading::default(),
    };
    let object = match inventory::system_isolation(client).await {
        // Where Network carries the switch, our singleton is welcome and not needed for reading.
        Err(error) if chosen == Carrier::Network && errors::absent(&error) == Some(Absent::Kind) => None,
        result => inventory::served::<SystemIsolation, _>(result)?,
    };
    let isolation = object.as_ref().map(isolation_reading).unwrap_or_default();
    Ok(Carriers {
        chosen,
        network,
        isolation,
        object,
    })
}

async fn choose(client: &Client) -> Result<Carrier> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    match api.get("networks.operator.openshift.io").await {
        Ok(crd) if has_field(&crd) => Ok(Carrier::Network),
        Ok(_) => Ok(Carrier::SystemIsolation),
        Err(error) if errors::absent(&error).is_some() => Ok(Carrier::SystemIsolation),
        Err(error) => Err(error).context(
            "cannot tell whether the Network operator config carries the switch: its definition has to be read",
        ),
    }
}

async fn network_reading(client: &Client) -> Result<Reading> {
    let resource = ApiResource::erase::<Network>(&());
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let object = match api.get(CLUSTER).await {
        Ok(object) => object,
        Err(error) if errors::absent(&error) == Some(Absent::Object) => return Ok(Reading::default()),
        Err(error) => return Err(error).context("cannot read the Network operator config"),
    };
    let generation = object.metadata.generation.unwrap_or_default();
    let value = object.data.pointer("/spec/systemNetworkPolicy/systemNamespaces");
    Ok(
        match value.cloned().map(serde_json::from_value::<SystemNamespaces>) {
            None => Reading {
                generation,
                ..Reading::default()
            },
            Some(Ok(switch)) => Reading {
                generation,
                switch: Some(switch),
                invalid: None,
            },
            Some(Err(_)) => Reading {
                generation,
                switch: None,
                invalid: value.map(Value::to_string),
            },
        },
    )
}

fn isolation_reading(object: &SystemIsolation) -> Reading {
    let policy = object.spec.system_network_policy.as_ref();
    Reading {
        generation: object.metadata.generation.unwrap_or_default(),
        switch: policy.and_then(|p| p.system_namespaces.clone()),
        invalid: None,
    }
}

/// What `mode` is to be set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A mode with the isolation to set, if one was named.
    Mode(Mode, Option<Isolation>),
    /// No mode: the platform decides.
    Unset,
}

/// Writes the switch to the chosen carrier and leaves it in no other. The order keeps a reader of the state
/// in between at the last applied configuration.
pub async fn write(
    client: &Client,
    carriers: &Carriers,
    target: Target,
    dry_run: DryRun,
) -> Result<Vec<Written>> {
    let mut written = Vec::new();
    for (carrier, patch) in patches(carriers, target) {
        written.push(match carrier {
            Carrier::Network => write::upsert::<Network>(client, CLUSTER, &patch, dry_run)
                .await
                .context("cannot write the Network operator config")?,
            Carrier::SystemIsolation => inventory::served::<SystemIsolation, _>(
                write::upsert::<SystemIsolation>(client, CLUSTER, &patch, dry_run).await,
            )?,
        });
    }
    Ok(written)
}

/// The merge patches, in order.
fn patches(carriers: &Carriers, target: Target) -> Vec<(Carrier, Value)> {
    let keeps_removal = carriers.spec().is_none_or(|s| s.mode_removal.is_none());
    let second_sets = carriers.isolation.switch.is_some();
    match (target, carriers.chosen) {
        (Target::Mode(mode, isolation), Carrier::SystemIsolation) => {
            let spec = json!({"systemNetworkPolicy": switch(mode, isolation), "modeRemoval": null});
            vec![(Carrier::SystemIsolation, json!({"spec": spec}))]
        }
        (Target::Mode(mode, isolation), Carrier::Network) => {
            let mut patches = vec![(
                Carrier::Network,
                json!({"spec": {"systemNetworkPolicy": switch(mode, isolation)}}),
            )];
            if second_sets || !keeps_removal {
                let clear = json!({"spec": {"systemNetworkPolicy": null, "modeRemoval": null}});
                patches.push((Carrier::SystemIsolation, clear));
            }
            patches
        }
        // The removal is announced first, else it would count as an accident.
        (Target::Unset, chosen) => {
            let removal = ModeRemoval::PlatformDecides;
            let spec = json!({"systemNetworkPolicy": null, "modeRemoval": removal});
            let mut patches = vec![(Carrier::SystemIsolation, json!({"spec": spec}))];
            if chosen == Carrier::Network && carriers.network != Reading::default() {
                patches.push((Carrier::Network, json!({"spec": {"systemNetworkPolicy": null}})));
            }
            patches
        }
    }
}

/// The switch as a merge patch: options of the other mode are forbidden, so they are removed.
fn switch(mode: Mode, isolation: Option<Isolation>) -> Value {
    let value = match mode {
        Mode::Restricted => match isolation {
            Some(isolation) => {
                json!({"mode": mode, "restricted": {"isolation": isolation}, "unrestricted": null})
            }
            None => json!({"mode": mode, "unrestricted": null}),
        },
        Mode::Unrestricted => json!({"mode": mode, "restricted": null}),
    };
    json!({"systemNamespaces": value})
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::CustomResourceExt as _;

    fn carriers(chosen: Carrier, network: Option<Mode>, isolation: Option<Mode>) -> Carriers {
        let reading = |mode: Option<Mode>| Reading {
            generation: i64::from(mode.is_some()),
            switch: mode.map(|mode| SystemNamespaces {
                mode,
                restricted: None,
                unrestricted: None,
            }),
            invalid: None,
        };
        Carriers {
            chosen,
            network: reading(network),
            isolation: reading(isolation),
            object: None,
        }
    }

    #[test]
    fn the_network_kind_carries_the_switch_only_if_its_schema_says_so() {
        let with = Network::crd();
        assert!(has_field(&with));
        let mut unserved = with.clone();
        unserved.spec.versions[0].served = false;
        assert!(!has_field(&unserved));
        let mut without = with;
        let schema = without.spec.versions[0].schema.as_mut().unwrap();
        let root = schema.open_api_v3_schema.as_mut().unwrap();
        let spec = root.properties.as_mut().unwrap().get_mut("spec").unwrap();
        spec.properties.as_mut().unwrap().remove("systemNetworkPolicy");
        spec.x_kubernetes_preserve_unknown_fields = Some(true);
        assert!(!has_field(&without), "unknown fields kept are not a field");
    }

    #[test]
    fn a_mode_is_left_in_one_place() {
        let both = carriers(Carrier::Network, None, Some(Mode::Unrestricted));
        let patches = patches(&both, Target::Mode(Mode::Restricted, None));
        assert_eq!(
            patches[0].0,
            Carrier::Network,
            "the winner first: no moment without a mode"
        );
        assert_eq!(patches[1].0, Carrier::SystemIsolation);
        assert!(patches[1].1["spec"]["systemNetworkPolicy"].is_null());
    }

    #[test]
    fn a_removal_is_announced_before_it_happens() {
        let patches = patches(
            &carriers(Carrier::Network, Some(Mode::Restricted), None),
            Target::Unset,
        );
        assert_eq!(patches[0].1["spec"]["modeRemoval"], "PlatformDecides");
        assert_eq!(patches[1].0, Carrier::Network);
    }

    #[test]
    fn options_of_the_other_mode_are_removed() {
        let open = switch(Mode::Unrestricted, None);
        assert!(open["systemNamespaces"]["restricted"].is_null());
        let closed = switch(Mode::Restricted, Some(Isolation::IngressAndEgress));
        assert_eq!(
            closed["systemNamespaces"]["restricted"]["isolation"],
            "IngressAndEgress"
        );
    }

    #[test]
    fn carriers_that_disagree_are_reported() {
        let modes = (Some(Mode::Restricted), Some(Mode::Unrestricted));
        assert!(carriers(Carrier::Network, modes.0, modes.1).conflict().is_some());
        assert!(carriers(Carrier::Network, modes.0, modes.0).conflict().is_none());
    }
}
