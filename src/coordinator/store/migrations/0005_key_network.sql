-- SPDX-License-Identifier: Apache-2.0
-- A JSON array of patterns of hosts that the key's jobs may ask for; NULL: of any.

ALTER TABLE keys ADD COLUMN network TEXT;
