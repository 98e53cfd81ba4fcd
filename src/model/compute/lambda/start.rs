//! What a new environment has to go through before it can work: placement, code, network interface, Init or restore.

use super::runtime::{Package, Table};
use super::spec::LambdaSpec;
use crate::kernel::{Span, Stream};
use crate::model::dist::Sampler;
use crate::model::wiring::Wiring;

/// What a VPC adds to a cold start since September 2019 (mikhail.io: p50 0.470 against 0.260 s in 2020).
const VPC_SHARED_INTERFACE: Span = Span::from_millis(200);
/// Until August 2019: share of cold starts that attached an interface, and ln-mean and ln-deviation of its seconds
/// (fit to mikhail.io's figures of April and June 2019).
const VPC_ATTACH: (f64, f64, f64) = (0.51, 2.22, 0.33);
/// A zipped MB of dependencies adds 0.1 s to a cold start as clients see it (mikhail.io, 2021: 14 MB 1.7 s, 35 MB 3.9 s). No
/// source splits that. Assumed: a tenth is the download, 100 MB/s, …
const DOWNLOAD_PER_MB: Span = Span::from_millis(10);
/// … and the rest is the runtime that loads the modules, inside Init.
const LOAD_PER_MB: Span = Span::from_millis(90);
/// Init is aborted and repeated inside the first invocation after this (Lambda guide, runtime environment).
const INIT_LIMIT: Span = Span::from_secs(10);

/// Laws of the parts of a cold start.
pub(super) struct ColdStart {
    place: Sampler,
    init: Sampler,
    /// Instead of Init, if the function uses `SnapStart`.
    restore: Option<Sampler>,
    attach: Option<Sampler>,
    /// Code download and shared network interface, beside `place`.
    fetch: Span,
    /// Loading of the dependencies, beside `init`.
    load: Span,
}

/// One cold start.
pub(super) struct Start {
    /// Placement, code download and network interface: neither logged nor billed.
    pub(super) place: Span,
    /// Extensions, runtime and function code, as far as they run ahead of the invocation.
    pub(super) init: Span,
    /// What became of it.
    pub(super) end: StartEnd,
}

/// How a start ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StartEnd {
    /// Ready for its first invocation.
    Ready,
    /// Init was aborted at its limit, and runs again inside the first invocation.
    InitAgain,
    /// The snapshot was not restored within its limit: the invocation fails with status 408.
    RestoreFailed,
}

impl ColdStart {
    pub(super) fn new(spec: &LambdaSpec, wiring: &Wiring) -> Result<ColdStart, String> {
        let era = wiring.era;
        let attach = (spec.vpc && era.attaches_interface())
            .then(|| Sampler::Lognormal(VPC_ATTACH.1 + libm::log(1e9), VPC_ATTACH.2));
        let vpc = if spec.vpc && attach.is_none() { VPC_SHARED_INTERFACE } else { Span::ZERO };
        let measured = |package| Table::init(spec.runtime, package, spec.architecture, era);
        let init = match &spec.init {
            Some(law) => law.sampler(wiring.data)?,
            None => measured(spec.package_type)
                .ok_or_else(|| format!("no Init time of {:?} was measured", spec.runtime))?
                .sampler(wiring.data)?,
        };
        let restore = match &spec.snap_start {
            None => None,
            Some(snap) => {
                let law = snap.restore.clone().or_else(|| measured(Package::Snapshot));
                let law = law.ok_or("no restore time of this runtime was measured")?;
                Some(law.sampler(wiring.data)?)
            }
        };
        // Image layers are loaded as they are read: 5 GB start no slower than 100 MB (mikhail.io, 2021).
        let zipped = if spec.package_type == Package::Image { 0.0 } else { spec.package.mb() };
        // A snapshot holds the code, loaded.
        let download = if restore.is_some() { Span::ZERO } else { DOWNLOAD_PER_MB.scaled(zipped) };
        Ok(ColdStart {
            place: spec.place.sampler(wiring.data)?,
            init,
            restore,
            attach,
            fetch: vpc + download,
            load: LOAD_PER_MB.scaled(zipped),
        })
    }

    /// Draws the start of a new environment.
    pub(super) fn draw(&self, stream: &mut Stream) -> Start {
        let mut place = self.place.sample(stream) + self.fetch;
        let init = match &self.restore {
            Some(restore) => restore.sample(stream),
            None => self.init.sample(stream) + self.load,
        };
        if let Some(attach) = &self.attach
            && stream.chance(VPC_ATTACH.0)
        {
            place = place + attach.sample(stream);
        }
        let end = match (init > INIT_LIMIT, &self.restore) {
            (false, _) => StartEnd::Ready,
            (true, None) => StartEnd::InitAgain,
            (true, Some(_)) => StartEnd::RestoreFailed,
        };
        Start { place, init: init.min(INIT_LIMIT), end }
    }

    /// Draws the Init that an environment repeats inside an invocation.
    pub(super) fn again(&self, stream: &mut Stream) -> Span {
        let _placed = self.place.sample(stream);
        self.init.sample(stream) + self.load
    }

    /// Draws the Init of a provisioned environment, which nobody waits for.
    pub(super) fn ahead(&self, stream: &mut Stream) -> Span {
        self.init.sample(stream) + self.load
    }
}
