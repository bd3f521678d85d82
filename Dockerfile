# The mesh alone: rules are mounted at /etc/dbmesh, or the demo's are used.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY dbmesh ./dbmesh
RUN python -m venv /opt/dbmesh && /opt/dbmesh/bin/pip install --no-cache-dir .

FROM python:3.12-slim
RUN useradd --system --no-create-home --shell /usr/sbin/nologin dbmesh \
    && install --directory --owner=dbmesh --mode=700 /var/lib/dbmesh
COPY --from=build /opt/dbmesh /opt/dbmesh
COPY sharding-rules /etc/dbmesh
ENV PATH=/opt/dbmesh/bin:$PATH PYTHONUNBUFFERED=1 STATE_DIRECTORY=/var/lib/dbmesh
USER dbmesh
EXPOSE 3307
STOPSIGNAL SIGTERM
ENTRYPOINT ["dbmesh"]
CMD ["serve", "--rules", "/etc/dbmesh", "--listen", "0.0.0.0:3307"]
