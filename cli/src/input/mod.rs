//! What the analysing verbs look at: files, directories, standard input, the cluster, or a mix.
//!
//! Everything is first a list of [`Object`]s, whatever it came from; [`State`] is what the policy engine needs
//! of them, and [`crate::look::Look`] what the operator's planner needs.

pub mod cluster;
pub mod documents;
pub mod ends;
pub mod files;
pub mod marks;
pub mod object;
pub mod pods;
pub mod services;
pub mod state;
pub mod states;
pub mod supposed;

use std::path::PathBuf;

use anyhow::{Result, bail};
use bulkhead_policy::Dialect;
use clap::{Args, ValueEnum};

pub use documents::Fault;
pub use object::{Object, Source};
pub use state::State;

use self::object::Kind;
use crate::args::RecursiveArgs;
use crate::look::{Look, LookArgs};
use crate::session::Session;
use crate::verbs::mode::{IsolationName, ModeName};

/// Where an analysing verb gets its objects from, and how they are understood.
#[derive(Clone, Debug, Args)]
pub struct InputArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub from: FromArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub reading: ReadingArgs,
}

/// Where an analysing verb gets its objects from.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "What is looked at")]
pub struct FromArgs {
    /// File or directory with manifests, "-" for standard input; may be repeated [default: the cluster]
    #[arg(short = 'f', long = "filename", value_name = "PATH")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub depth: RecursiveArgs,
    /// With -f: also read the cluster; what the files say replaces what it holds under the same name
    #[arg(long, requires = "files")]
    pub with_cluster: bool,
    /// Fail at the first document that cannot be read, instead of reading the rest
    #[arg(long)]
    pub strict: bool,
}

/// How what was read is to be understood.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "How it is understood")]
pub struct ReadingArgs {
    /// How the network plugin reads policies where the API leaves it open
    #[arg(long, value_enum, value_name = "NAME", default_value_t)]
    pub dialect: DialectName,
    /// Suppose that this mode had been set and the operator were done [default: as stored]
    #[arg(long = "mode", value_enum, ignore_case = true, value_name = "MODE")]
    pub mode: Option<ModeName>,
    /// With --mode Restricted: the directions that are isolated
    #[arg(
        long,
        value_enum,
        ignore_case = true,
        requires = "mode",
        value_name = "DIRECTIONS"
    )]
    pub isolation: Option<IsolationName>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub look: LookArgs,
    /// Declarations in files are left as they are, not rendered.
    #[arg(skip)]
    pub as_stored: bool,
}

/// Dialects on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DialectName {
    /// As the Network operator config names the plugin, else the plain reading of the API
    #[default]
    Auto,
    /// The plain reading of the API
    Spec,
    /// OVN-Kubernetes
    OvnKubernetes,
    /// Calico
    Calico,
    /// Cilium
    Cilium,
}

impl DialectName {
    fn dialect(self, host_selectable: bool) -> Dialect {
        match self {
            Self::Auto if host_selectable => Dialect::ovn_kubernetes(),
            Self::Auto | Self::Spec => Dialect::spec(),
            Self::OvnKubernetes => Dialect::ovn_kubernetes(),
            Self::Calico => Dialect::calico(),
            Self::Cilium => Dialect::cilium(),
        }
    }
}

/// Objects with what could not be read.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// In the order in which they were read; of objects of one name the last one counts.
    pub objects: Vec<Object>,
    /// Documents and objects that could not be read.
    pub faults: Vec<Fault>,
    /// Objects that files give more than once.
    pub repeated: Vec<String>,
}

/// Reads what the arguments name.
pub async fn read(args: &FromArgs, session: &Session) -> Result<Read> {
    let mut read = Read::default();
    if args.files.is_empty() || args.with_cluster {
        let client = session.client().await?;
        read.objects = cluster::objects(&client, session).await?;
    }
    for path in files::expand(&args.files, args.depth.recursive)? {
        let found = files::read(&path)?;
        read.objects.extend(found.objects);
        read.faults.extend(found.faults);
    }
    if read.objects.is_empty() && read.faults.is_empty() && !args.files.is_empty() {
        let paths = args.files.iter().map(|path| path.display().to_string());
        bail!("no object was read from {}", paths.collect::<Vec<_>>().join(", "));
    }
    let namespace = session.globals.in_namespace.as_deref().unwrap_or("default");
    for object in &mut read.objects {
        object.default_namespace(namespace);
    }
    read.objects = object::last_of_each(read.objects, &mut read.repeated);
    if args.strict
        && let Some(fault) = read.faults.first()
    {
        bail!("{fault}");
    }
    Ok(read)
}

/// Reads what the arguments name and tells the user what was left out.
pub async fn state(args: &InputArgs, session: &Session) -> Result<State> {
    let read = read(&args.from, session).await?;
    understand(read, &args.reading, args.from.strict, session)
}

/// What was read as a state, under the supposed mode if there is one. What was left out is told.
pub fn understand(read: Read, args: &ReadingArgs, strict: bool, session: &Session) -> Result<State> {
    let state = quietly(read, args, session)?;
    if strict && let Some(fault) = state.faults.first() {
        bail!("{fault}");
    }
    for fault in &state.faults {
        session.warn(&fault.to_string());
    }
    for note in state.notes() {
        session.note(&note);
    }
    Ok(state)
}

/// The same without telling.
pub fn quietly(read: Read, args: &ReadingArgs, session: &Session) -> Result<State> {
    let mut look = Look::of(&read.objects, &args.look)?;
    let dialect = args.dialect.dialect(look.cluster.platform.host_selectable);
    let mut state = State::new(read, dialect);
    state.external_control_plane = look.cluster.platform.external_control_plane;
    supposed::apply(&mut state, &mut look, args, session);
    Ok(state)
}

/// How many objects of which unknown kinds there are, in one line; `None` without any.
fn skipped(objects: &[Object]) -> Option<String> {
    let mut counts: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for object in objects.iter().filter(|o| o.kind == Kind::Unknown) {
        *counts.entry(object.kind_name()).or_default() += 1;
    }
    let total: usize = counts.values().sum();
    let each: Vec<String> = counts.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    let what = if total == 1 {
        "object of another kind"
    } else {
        "objects of other kinds"
    };
    (total > 0).then(|| format!("passed over {total} {what}: {}", each.join(", ")))
}
