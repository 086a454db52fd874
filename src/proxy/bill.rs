//! What does the usage ledger say of a finished request?

use super::context::{Admitted, RequestCtx, Way};
use super::errand::Errand;
use super::metering::{self, Taken};
use crate::limits;
use crate::routing::Route;
use crate::telemetry::{AccessRecord, Charge};

/// Writes its line, where a ledger is kept. What never went anywhere took nothing, and LiteLLM's own requests are a
/// part of those that it was asked.
pub(super) fn write(ctx: &RequestCtx, record: &AccessRecord<'_>, taken: Option<&Taken>) {
    let (Some(ledger), Some(admitted)) = (&ctx.snapshot.ledger, &ctx.admitted) else {
        return;
    };
    if !metering::is_litellms_errand(&admitted.way) {
        ledger.write(record, &charge(ctx, admitted, taken));
    }
}

fn charge(ctx: &RequestCtx, admitted: &Admitted, taken: Option<&Taken>) -> Charge {
    let (routes, prices) = (&ctx.snapshot.routes, &ctx.snapshot.config.prices);
    let asked = admitted.model.as_deref();
    let route = asked.map(|asked| routes.resolve(asked, 0.0));
    let served = route.as_ref().and_then(|route| served(admitted, route));
    let names = route.iter().flat_map(Route::names);
    let price = prices.of(names.chain(served));
    Charge {
        served: served.map(str::to_owned),
        tokens: taken.map(|taken| metering::tokens(&taken.usage)),
        cache_write_1h: taken.map_or(0, |taken| taken.usage.cache_write_1h),
        estimated: taken.is_some_and(|taken| taken.estimated),
        usd: price
            .zip(taken)
            .map(|(price, taken)| rounded(limits::usd(&price, &taken.usage))),
    }
}

/// The provider's name for the model; whom LiteLLM asks, LiteLLM knows.
fn served<'a>(admitted: &'a Admitted, route: &'a Route) -> Option<&'a str> {
    let Way::Direct(way) = &admitted.way else {
        return None;
    };
    let Errand::Model(model) = &way.errand else {
        return None;
    };
    let named = Some(&*model.deployment.model).filter(|name| !name.contains('*'));
    named.or(route.model.as_deref()).or(Some(&route.name))
}

/// To a billionth of a dollar, which no token costs less than.
fn rounded(usd: f64) -> f64 {
    (usd * 1e9).round() / 1e9
}
