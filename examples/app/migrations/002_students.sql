CREATE TABLE students (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organisation_id bigint NOT NULL REFERENCES organisations,
    account_id bigint UNIQUE REFERENCES accounts,
    name text NOT NULL CHECK (length(name) BETWEEN 2 AND 120),
    enrolled_on date NOT NULL
);
-- With the id in it, the index also serves the pages of one organisation in order.
CREATE INDEX students_organisation_id ON students (organisation_id, id);
CREATE INDEX students_enrolled_on ON students (enrolled_on);
