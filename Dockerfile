# The image of every role. Node is the version that package.json pins for `npm test`; the check compares them.
FROM node:26.10.0-trixie-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The packages that bring Node for `npm start` are the optional ones: the image has Node already.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund \
    && find node_modules -type f '(' -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' ')' -delete \
    && sha256sum package-lock.json | cut -c1-64 | tr -d '\n' > node_modules/.mailmesh-lock-sha256
COPY . .
RUN install -d -m 700 /empty \
    && install -d -m 700 -o 10001 -g 10001 /cache \
    && cp -L /usr/lib/*-linux-gnu/libatomic.so.1 /usr/local/lib/
# Fills the compile cache: with it the start is faster and needs less memory, also when the root is read-only. Node keeps a
# cache for each user, so it is filled by the one who runs the image.
USER 10001:10001
RUN NODE_COMPILE_CACHE=/cache node bin/mailmesh.mjs --run bin/warm.ts && test -n "$(ls /cache)"

FROM debian:trixie-slim
# Node alone, without npm and headers, and the one library that it needs beyond the base image.
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=build /usr/local/lib/libatomic.so.1 /usr/local/lib/
RUN ldconfig \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin mailmesh \
    && ln -s /app/bin/mailmesh.mjs /usr/local/bin/mailmesh
COPY --from=build /app /app
COPY --from=build --chown=10001:10001 /cache /cache
COPY --from=build --chown=10001:10001 /empty /data
WORKDIR /app
USER 10001:10001
ENV NODE_COMPILE_CACHE=/cache \
    NODE_OPTIONS=--max-semi-space-size=8 MALLOC_MMAP_THRESHOLD_=131072 \
    MAILMESH_BIND=0.0.0.0 \
    MAILMESH_DATA_DIR=/data/mailmesh
VOLUME /data
EXPOSE 2525 2587 2465 2424 2143 2993 2110 2995 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["node", "/app/bin/healthcheck.mjs", "/readyz"]
ENTRYPOINT ["node", "/app/bin/mailmesh.mjs"]
CMD ["start"]
