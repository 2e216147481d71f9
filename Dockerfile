# syntax=docker/dockerfile:1
# The image: one binary, certificates, no shell, nobody's home. Build it with `make image`.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target/release \
    scripts/build-release && cp -a target/image /image

# glibc, libgcc and ca-certificates; runs as 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Cloakroom" \
      org.opencontainers.image.description="Token handler (backend for frontend) for single-page applications" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.source="https://github.com/cloakroom/cloakroom"
COPY --from=build /image/ /
USER 65532:65532
# 8080 the app, 9090 the admin listener (read-only: keep it off the internet). It writes to no file: run it with a
# read-only root.
EXPOSE 8080 9090
# The binary asks /readyz itself, as there is no shell and no HTTP client. Kubernetes has probes of its own and ignores this; so do
# images in OCI format, as podman makes them.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s \
  CMD ["/usr/local/bin/cloakroom", "ready", "--config", "/etc/cloakroom/cloakroom.toml"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/cloakroom"]
CMD ["serve", "--config", "/etc/cloakroom/cloakroom.toml"]
