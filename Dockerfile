# The image of every role. Node is the version that package.json pins for `npm test`; the check compares them.
FROM node:26.10.0-trixie-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The packages that bring Node for `npm start` are the optional ones: the image has Node already.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund \
    && sha256sum package-lock.json | cut -c1-64 | tr -d '\n' > node_modules/.mailmesh-lock-sha256
COPY . .
# Fills the compile cache, which stays readable when the root is read-only: the start is faster and needs less memory.
RUN node bin/mailmesh.mjs --run bin/warm.ts \
    && test -d node_modules/.cache/mailmesh \
    && rm -rf .cache \
    && install -d -m 700 /empty \
    && cp -L /usr/lib/*-linux-gnu/libatomic.so.1 /usr/local/lib/

FROM debian:trixie-slim
# Node alone, without npm and headers, and the one library that it needs beyond the base image.
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=build /usr/local/lib/libatomic.so.1 /usr/local/lib/
RUN ldconfig \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin mailmesh \
    && ln -s /app/bin/mailmesh.mjs /usr/local/bin/mailmesh
COPY --from=build /app /app
COPY --from=build --chown=10001:10001 /empty /data
WORKDIR /app
USER 10001:10001
ENV MAILMESH_BIND=0.0.0.0 \
    MAILMESH_DATA_DIR=/data
VOLUME /data
EXPOSE 2525 2587 2465 2424 2143 2993 2110 2995 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["node", "/app/bin/healthcheck.mjs", "/readyz"]
ENTRYPOINT ["node", "/app/bin/mailmesh.mjs"]
CMD ["start"]
