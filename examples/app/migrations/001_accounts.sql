CREATE TABLE organisations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 2 AND 120),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE accounts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL UNIQUE CHECK (email = lower(email)),
    role text NOT NULL CHECK (role IN ('admin', 'organisation', 'student')),
    organisation_id bigint REFERENCES organisations,
    password text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (role = 'admin' OR organisation_id IS NOT NULL)
);
CREATE INDEX accounts_organisation_id ON accounts (organisation_id);

CREATE TABLE sessions (
    id bytea PRIMARY KEY,
    account_id bigint NOT NULL REFERENCES accounts ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_account_id ON sessions (account_id);
