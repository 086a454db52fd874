//! The edge simulator's own claims, made through real clients over real sockets.

#[cfg(test)]
mod capacity;
#[cfg(test)]
mod client;
#[cfg(test)]
mod cloudflare;
#[cfg(test)]
mod faults_h1;
#[cfg(test)]
mod faults_h2;
#[cfg(test)]
mod hosts;
#[cfg(test)]
mod litellm;
#[cfg(test)]
mod provider;
#[cfg(test)]
mod record;
